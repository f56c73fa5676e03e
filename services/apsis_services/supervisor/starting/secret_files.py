"""Secrets: each is a file on the host that nobody else can read. Its content goes to the program alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from apsis.home import Home
from apsis_services.supervisor.starting.hostfiles import UnusableFile, read_small

#: below the home's `keys`
FOLDER: Final = "secrets"


class Secrets:
    """Where the secrets of a host lie. They are read at each start, so that a changed one counts at once."""

    def __init__(self, home: Home, configured: Mapping[str, str]) -> None:
        """Name the places; `configured` gives the file of a secret that does not lie in `keys/secrets`."""
        self._home = home
        self._configured = dict(configured)

    def path(self, name: str) -> Path:
        """Return the file that holds a secret."""
        given = self._configured.get(name)
        if given is not None:
            return self._home.root / Path(given).expanduser()
        return self._home.keys / FOLDER / name

    def resolve(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """Return variable: value, for variable: name of a secret. One line end at the end of a file is left out.

        Raises:
            UnusableFile: a secret is missing, open to others, or cannot be the value of a variable.
        """
        return {variable: self._value(name) for variable, name in wanted.items()}

    def _value(self, name: str) -> str:
        path = self.path(name)
        if "/" in name or name in ("", ".", ".."):
            raise UnusableFile(f"{name!r} cannot be the name of a secret")
        missing = UnusableFile(
            f"this host has no secret {name!r}",
            hint=f"write it to {path} (mode 0600), or name its file under `secrets` in apsis.yaml",
        )
        data = read_small(path, f"the secret {name!r}", private=True, missing=missing)
        data = data.removesuffix(b"\n").removesuffix(b"\r")
        if b"\0" in data:
            raise UnusableFile(f"the secret {name!r} holds a NUL byte, which no variable can")
        return data.decode(errors="surrogateescape")
