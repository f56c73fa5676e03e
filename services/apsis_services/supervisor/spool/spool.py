"""The spool's folders: journals of runs that are not settled, the archive, and the runs' own folders."""

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from apsis.errors import ConfigError
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.zygote.journal import parse_key
from apsis_services.supervisor.zygote.journal_file import revoke
from apsis_services.supervisor.zygote.stamps import stamp_now

#: seconds for which archived journals are kept: a command that is older cannot come any more
KEEP: Final = 30 * 86_400.0

log = logging.getLogger("supervisor")


class Spool:
    """Paths, and the moves between them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.journals = root / "journals"
        self.runs = root / "runs"
        self._archive = root / "archive"

    def make(self) -> None:
        """Make the folders, of mode 0700.

        Raises:
            ConfigError: they cannot be made, or are not ours.
        """
        try:
            for folder in (self.root, self.journals, self.runs, self._archive):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.chmod(0o700)
        except OSError as error:
            raise ConfigError(
                f"the spool {self.root} cannot be used: {error.strerror}",
                hint="Give it to the user who runs Apsis, or name another home.",
            ) from None

    def folder(self, key: Key) -> Path:
        """Return the folder of a run's working files."""
        return self.runs / str(key)

    def archived(self, key: Key) -> Path:
        """Return where a run's journal lies once its end is committed."""
        return self._archive / f"{key}.j"

    def archived_among(self, keys: Iterable[Key]) -> frozenset[Key]:
        """Return which of these runs have an archived journal."""
        return frozenset(key for key in keys if self._is_archived(key))

    def archived_since(self, since: float) -> list[Key]:
        """Return the runs whose journals were archived (moved, at the latest) from a time on, in seconds."""
        found = []
        with os.scandir(self._archive) as entries:
            for entry in entries:
                parsed = parse_key(entry.name)
                if parsed is not None and entry.stat().st_ctime >= since:
                    found.append(Key(*parsed))
        return found

    def _is_archived(self, key: Key) -> bool:
        name = f"{key}.j"
        return parse_key(name) is not None and os.path.exists(f"{self._archive}/{name}")  # noqa: PTH110 - for each start

    def archive(self, key: Key) -> None:
        """Move a run's journal to the archive; that it is gone is for the log alone."""
        try:
            os.rename(f"{self.journals}/{key}.j", f"{self._archive}/{key}.j")  # noqa: PTH104 - for each run
        except FileNotFoundError:
            log.warning("the journal of %s was taken away by somebody", key, extra={"event": "journal_gone"})

    def revoke(self, key: Key, dispatch: int) -> bool:
        """Take a run's claim so that it never starts; False: there is a journal already.

        Raises:
            OSError: it could not be written.
        """
        return revoke(self.root, key.journal, key.run_id, dispatch=dispatch, by="scheduler", at=stamp_now())

    def folders(self) -> Iterator[Key]:
        """Yield the runs that have a folder."""
        for path in self.runs.iterdir():
            parsed = parse_key(path.name)
            if parsed is not None:
                yield Key(*parsed)

    def clean_archive(self, now: float) -> None:
        """Take away archived journals that are older than any command can be; `now` in seconds since the epoch."""
        with os.scandir(self._archive) as entries:
            for entry in entries:
                if now - entry.stat().st_mtime > KEEP:
                    Path(entry.path).unlink()
