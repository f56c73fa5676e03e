"""`apsisctl logs`: print what the services logged, together in order of time, and follow it."""

import difflib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from apsis.cli.ctl.home_option import home_option
from apsis.errors import NotFound
from apsis.home import Home

_POLL: Final = 0.2
_PART: Final = 64 * 1024


@click.command()
@click.argument("service", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is logged from now on.")
@click.option("-n", "count", default=50, show_default=True, metavar="N", help="How many of the last lines first.")
@home_option
def command(home: Home, service: str | None, follow: bool, count: int) -> None:
    """Print the last lines of SERVICE's log, or of all logs."""
    logs = [Log(path) for path in _paths(home, service)]
    lines = sorted((line for log in logs for line in log.last(count)), key=lambda line: line[:24])
    for line in lines[-count:] if count else []:
        click.echo(line)
    while follow:
        for log in logs:
            for line in log.new_lines():
                click.echo(line)
        time.sleep(_POLL)


def _paths(home: Home, service: str | None) -> list[Path]:
    found = {path.stem: path for path in sorted(home.log.glob("*.log"))}
    if not found:
        home.require()
    if service is None:
        return list(found.values())
    if service not in found:
        near = difflib.get_close_matches(service, found, n=1)
        hint = f"Did you mean: {near[0]}" if near else f"There are: {', '.join(found) or 'none yet'}"
        raise NotFound(f"no log of {service!r} in {home.log}", hint=hint)
    return [found[service]]


class Log:
    """One log file being read: its last lines, then what is added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        self._rest = b""

    def last(self, count: int) -> list[str]:
        """Return the last lines; each one of a traceback goes with the record before it."""
        end = self._file.seek(0, 2)
        start, data = end, b""
        while start > 0 and data.count(b"\n") <= count:
            step = min(_PART, start)
            start -= step
            self._file.seek(start)
            data = self._file.read(step) + data
        self._file.seek(end)
        return _records(data.decode(errors="replace").splitlines()[-count:] if count else [])

    def new_lines(self) -> Iterator[str]:
        """Yield the whole lines that were added, also after the log was put aside for a new one."""
        while data := self._file.read(_PART):
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace")
        try:
            is_same = self._path.stat().st_ino == os.fstat(self._file.fileno()).st_ino
        except FileNotFoundError:
            return
        if not is_same:
            self._file.close()
            self._file = self._path.open("rb")


def _records(lines: list[str]) -> list[str]:
    """Return lines with the indented ones joined to the one above, so that sorting by time keeps them together."""
    records: list[str] = []
    for line in lines:
        if records and line.startswith((" ", "\t")):
            records[-1] += "\n" + line
        else:
            records.append(line)
    return records
