"""Asking a class of a user's for due times: in a process of its own, a batch at a time, with a deadline.

What the class does there (hang, raise, exit, print, eat memory) is told with its job, and hurts nobody else.
"""

import bisect
import contextlib
import functools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from apsis.messages.body import decode, encode
from apsis.times.instants import from_micros, to_micros

#: times that are asked for at once
BATCH: Final = 500
#: times that are asked for to see whether the class is any good
_A_FEW: Final = 10
#: seconds that the process may take for a batch, its start and the import of the class included
DEADLINE: Final = 10.0
#: seconds after a failure before the class is asked again
_AGAIN: Final = 60.0
#: bytes of an answer
_LARGEST: Final = 8 << 20
#: times that are kept; the oldest go
_KEPT: Final = 20 * BATCH


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is asked."""

    name: str
    path: str
    keys: dict[str, Any]
    #: microseconds since the epoch; the times are strictly after it. None: after the moment in which it is asked
    after: int | None
    count: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the process answers."""

    #: microseconds since the epoch, and the offered names
    times: list[tuple[int, dict[str, str]]] = []
    #: there are no more after these
    ended: bool = False
    #: what is wrong with the class; the times before it are good
    trouble: str = ""
    text: str = ""


def ask(question: Question, deadline: float = DEADLINE) -> Answer:
    """Return what the class of a question answers; whatever goes wrong is the answer's `trouble`."""
    # files and not pipes: a process that the class leaves behind could hold a pipe open for ever
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as said:
        given.write(encode(question))
        given.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-m", "apsis.schedules.custom_process"],
            stdin=given,
            stdout=told,
            stderr=said,
            cwd="/",
            start_new_session=True,
        )
        try:
            status = process.wait(deadline)
        except subprocess.TimeoutExpired:
            return Answer(trouble=f"{question.name} does not answer within {deadline:g} s")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        told.seek(0)
        data = told.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            return Answer(trouble=f"{question.name} tells more than {_LARGEST >> 20} MiB of times and names at once")
        try:
            answer: Answer = decode(Answer, data)
        except msgspec.DecodeError:
            said.seek(0)
            lines = said.read(_LARGEST).decode(errors="replace").split("\n")
            last = next((line.strip() for line in reversed(lines) if line.strip()), "")
            return Answer(
                trouble=f"{question.name} ends its process (status {status}){': ' if last else ''}{last[:300]}"
            )
        return answer


class CustomTimes:
    """What one class with one set of keys has told: a stretch of times, made longer as it is read."""

    def __init__(self, name: str, path: str, keys: dict[str, Any]) -> None:
        self._name = name
        self._path = path
        self._keys = keys
        self._lock = threading.Lock()
        self._stretch = _Stretch(0, last=-1)
        self._failed_at: float | None = None
        self.trouble = ""
        self.text = ""

    def look(self) -> str:
        """Ask for the first few times from now on, and return what is wrong with the class, or ""."""
        return ask(self._question(None, _A_FEW)).trouble

    def after(self, instant: datetime) -> Iterator[tuple[datetime, dict[str, str]]]:
        """Yield the times after an instant; ends where the class ends, or is in trouble."""
        begin = to_micros(instant)
        stretch = self._reaching(begin)
        index = bisect.bisect_right(stretch.times, begin, key=lambda each: each[0])
        while True:
            while index < len(stretch.times):
                if index == len(stretch.times) - BATCH // 2:
                    self._ask_ahead(stretch)
                micros, offered = stretch.times[index]
                yield from_micros(micros), offered
                index += 1
            if stretch.ended or not self._extend(stretch, len(stretch.times)):
                return

    def _reaching(self, begin: int) -> "_Stretch":
        """Return a stretch that speaks for what comes after an instant, if there was trouble an ended one."""
        stretch = self._stretch
        if not stretch.begin <= begin <= stretch.last or len(stretch.times) > _KEPT:
            # the class is asked when somebody wants a time of it
            stretch = self._stretch = _Stretch(begin, last=begin)
        return stretch

    def _ask_ahead(self, stretch: "_Stretch") -> None:
        """Ask for the next batch while the last one is used up, so that whoever reads on need not wait."""
        if not stretch.ended and not stretch.asking:
            stretch.asking = True
            known = len(stretch.times)
            threading.Thread(target=self._extend, args=(stretch, known), daemon=True, name="schedule").start()

    def _extend(self, stretch: "_Stretch", known: int) -> bool:
        """Ask for more than `known` times; return whether there are more."""
        with self._lock:
            if len(stretch.times) > known:
                return True
            if stretch.ended or self._rests():
                return False
            answer = ask(Question(name=self._name, path=self._path, keys=self._keys, after=stretch.last, count=BATCH))
            stretch.times += answer.times
            if answer.times:
                stretch.last = answer.times[-1][0]
            stretch.ended = answer.ended
            stretch.asking = False
            self.text = answer.text or self.text
            self.trouble = answer.trouble
            self._failed_at = time.monotonic() if answer.trouble else None
            return bool(answer.times)

    def _question(self, after: int | None, count: int) -> Question:
        return Question(name=self._name, path=self._path, keys=self._keys, after=after, count=count)

    def _rests(self) -> bool:
        return self._failed_at is not None and time.monotonic() - self._failed_at < _AGAIN


class _Stretch:
    """Times told one after the other: all those after `begin` up to `last`."""

    def __init__(self, begin: int, *, last: int) -> None:
        self.begin = begin
        self.last = last
        self.times: list[tuple[int, dict[str, str]]] = []
        self.ended = False
        self.asking = False


def times_of(name: str, path: str, keys: dict[str, Any]) -> CustomTimes:
    """Return what a class with these keys has told: the same for all schedules of this process that say so."""
    return _times_of(name, path, encode(keys))


@functools.lru_cache(maxsize=512)
def _times_of(name: str, path: str, keys: bytes) -> CustomTimes:
    return CustomTimes(name, path, decode(dict[str, Any], keys))
