"""The home: the one folder that holds an installation, and where each thing in it lies."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from apsis.errors import ConfigError

DEFAULT_HOME: Final = "~/.apsis"
CONFIG_NAME: Final = "apsis.yaml"


@dataclass(frozen=True, slots=True)
class Home:
    """Paths of one installation; nothing is read or made by naming them."""

    root: Path

    @classmethod
    def find(cls, given: str | os.PathLike[str] | None = None) -> "Home":
        """Return the home that is meant: the one given, else `APSIS_HOME`, else `~/.apsis`."""
        return cls(Path(given or os.environ.get("APSIS_HOME") or DEFAULT_HOME).expanduser().absolute())

    def require(self) -> None:
        """Refuse a folder that is no home: whoever needs one says so in the same words.

        Raises:
            ConfigError: it is none.
        """
        if not self.config.is_file():
            raise ConfigError(
                f"{self.root} is not an Apsis home: it has no {CONFIG_NAME}",
                hint=f"make one with: apsisctl init {self.root}",
            )

    @property
    def config(self) -> Path:
        """The configuration, which also marks the folder as a home."""
        return self.root / CONFIG_NAME

    @property
    def jobs(self) -> Path:
        """The default job directory."""
        return self.root / "jobs"

    @property
    def token(self) -> Path:
        """The admin token, mode 0600."""
        return self.root / "token"

    @property
    def database(self) -> Path:
        """The scheduler's database."""
        return self.root / "db" / "apsis.db"

    @property
    def spool(self) -> Path:
        """The supervisor's journals and the runs' working files."""
        return self.root / "spool"

    @property
    def output(self) -> Path:
        """The store's repository of outputs."""
        return self.root / "output"

    @property
    def log(self) -> Path:
        """One log file for each service."""
        return self.root / "log"

    @property
    def keys(self) -> Path:
        """Certificates and keys, mode 0700."""
        return self.root / "keys"

    @property
    def run(self) -> Path:
        """Sockets, locks and pids: mode 0750, empty when nothing runs."""
        return self.root / "run"

    @property
    def since(self) -> Path:
        """The time before which nothing that is due runs, as `apsisctl start --since` says it to the scheduler."""
        return self.run / "since"

    def lock(self, service: str) -> Path:
        """Return the lock file that a service holds for as long as it lives."""
        return self.run / f"{service.replace('/', '-')}.lock"

    def service_log(self, service: str) -> Path:
        """Return the log file of a service."""
        return self.log / f"{service.replace('/', '-')}.log"
