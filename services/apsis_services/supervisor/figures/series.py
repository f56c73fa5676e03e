"""The series of figures that is kept with a run: lines in its folder, carried to the store like what it prints."""

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from apsis.messages.body import encode
from apsis.messages.live import SAMPLES, LiveRun, Sample
from apsis_services.supervisor.facts import Key

#: a run that lasts gets a line each time that it has grown older by one part in so many
POINTS: Final = 300

log = logging.getLogger("supervisor")


def is_due(age: float, last: float | None) -> bool:
    """Whether a run of this age (seconds) gets a line, the last one having been written at that age.

    Each sample at first, then ever fewer: about 300 for ten minutes, 1,800 for a day, 2,900 for a month.
    """
    return last is None or age - last >= age / POINTS


class SeriesBook:
    """Writes the lines. A supervisor that begins anew goes on with the files that it finds."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._last: dict[Key, float] = {}
        self._failing = False

    def write(self, at: str, ages: Mapping[Key, float], samples: Mapping[Key, LiveRun]) -> None:
        """Add a line to each run for which one is due; forget the runs that are not named."""
        self._last = {key: last for key, last in self._last.items() if key in ages}
        self._add(at, [(key, age, samples[key]) for key, age in ages.items() if key in samples])

    def _add(self, at: str, found: Iterable[tuple[Key, float, LiveRun]]) -> None:
        for key, age, run in found:
            if not is_due(age, self._last.get(key)):
                continue
            try:
                _append(self._runs / str(key) / SAMPLES, _line(at, run))
            except FileNotFoundError:
                continue  # its folder has gone with its end
            except OSError as error:
                # a full disk costs the run its figures, and nothing else
                if not self._failing:
                    log.warning("figures cannot be kept: %s", error.strerror, extra={"event": "samples_lost"})
                self._failing = True
                return
            self._failing = False
            self._last[key] = age


def _line(at: str, run: LiveRun) -> bytes:
    sample = Sample(
        at=at,
        cpu=run.cpu,
        rss=run.rss,
        processes=run.total,
        threads=run.threads,
        read=run.read,
        written=run.written,
    )
    return encode(sample) + b"\n"


def _append(path: Path, line: bytes) -> None:
    """Write one whole line, or none: what a full disk cuts off is taken away again."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    try:
        size = os.fstat(fd).st_size
        if os.write(fd, line) < len(line):
            os.ftruncate(fd, size)
    finally:
        os.close(fd)
