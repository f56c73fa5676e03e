"""Places: where in the files of a job directory the value at a path of a definition stands."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from apsis.definitions import finding
from apsis.definitions.plain_file import read_plain_file
from apsis.jobs.defaults import NAME
from apsis.jobs.parse import SPELLINGS
from apsis.jobs.yaml_file import MAX_BYTES, Document, read_yaml

_OTHERS: Final = {kept: other for other, kept in SPELLINGS.items()}


@dataclass(slots=True)
class Places:
    """The files of one job directory, each read again when something in it is to be pointed at."""

    root: Path
    _documents: dict[PurePosixPath, Document | None] = field(default_factory=dict)

    def locator(self, file: str) -> finding.Locate:
        """Return what finds the place of a path in a job's file, or in the defaults that give the value."""

        def locate(path: finding.Path, at_key: bool) -> tuple[str, int, int]:
            nearest: tuple[str, int, int] = (file, 1, 1)
            for name in self._sources(PurePosixPath(file)):
                document = self._document(name)
                if document is None:
                    continue
                line, column, found = place_in(document, path, at_key)
                if found:
                    return str(name), line, column
                if str(name) == file:
                    nearest = file, line, column
            return nearest

        return locate

    def _sources(self, file: PurePosixPath) -> list[PurePosixPath]:
        """Return the files that a job is made of, the nearest first."""
        return [file, *(folder / NAME for folder in file.parents if os.path.lexists(self.root / folder / NAME))]

    def _document(self, name: PurePosixPath) -> Document | None:
        if name not in self._documents:
            try:
                self._documents[name] = read_yaml(read_plain_file(self.root / name, MAX_BYTES + 1))
            except OSError:
                # it went away since it was loaded: what was found is still told, without a line
                self._documents[name] = None
        return self._documents[name]


def place_in(document: Document, path: finding.Path, at_key: bool) -> tuple[int, int, bool]:
    """Return the place of a path, and whether it was found, however the file spells what has other spellings."""
    best = document.place(path, at_key)
    for other in _spellings(path):
        if best[2]:
            break
        place = document.place(other, at_key)
        if place[2] or place[:2] > best[:2]:
            best = place
    return best


def _spellings(path: finding.Path) -> Iterator[finding.Path]:
    """Yield the other ways in which a file may write what the long spelling has at a path."""
    if path and path[0] in _OTHERS:
        yield (_OTHERS[path[0]], *path[1:])
    if path[:2] == ("program", "argv"):
        yield ("program", *path[2:])
    elif path == ("program", "command"):
        yield ("program",)
