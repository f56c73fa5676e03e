"""The process in which a schedule class of a user's is asked: `python -m apsis.schedules.custom_process`.

A `Question` on standard input, an `Answer` on standard output. Each time is checked here, beside the class.
"""

import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from apsis.extensions import ExtensionError, load_class, make, told
from apsis.messages.body import decode, encode
from apsis.schedules.base import Schedule
from apsis.schedules.custom_times import Answer, Question
from apsis.schedules.schedule import END, show_time
from apsis.times.instants import from_micros, to_micros

#: times at or before the instant that was asked for, which are passed over
_BEFORE: Final = 100_000
#: times that may be the same
_SAME: Final = 100
_NAMES: Final = 100
_NAME_LENGTH: Final = 256
_VALUE_LENGTH: Final = 4096
#: seconds after which a class that tells its times slowly is cut short
_SHORT: Final = 3.0
#: bytes of address space: a class that builds an endless list must not take the machine's memory
_SPACE: Final = 4 << 30


class _Trouble(Exception):
    """What the class gave is not as asked."""


def answer(question: Question) -> Answer:
    """Return what the class of a question tells, up to what is wrong with it."""
    times: list[tuple[int, dict[str, str]]] = []
    text, trouble, ended = "", "", False
    try:
        kind = load_class(question.path, Schedule, "schedule")  # type: ignore[type-abstract]  # which it checks
        made = make(kind, question.keys, question.name)
        text = str(made.text)[:200]
        ended = _collect(made, question, times)
    except ExtensionError as error:
        trouble = f"{error.message}; {error.hint}" if error.hint else error.message
    except _Trouble as error:
        trouble = f"{question.name}: {error}"
    except Exception as error:  # noqa: BLE001  whatever a user's class raises is its author's to read
        trouble = f"{question.name}: raises {told(error)}"
    return Answer(times=times, ended=ended, trouble=trouble, text=text)


def _collect(made: Schedule, question: Question, times: list[tuple[int, dict[str, str]]]) -> bool:
    """Gather up to `count` times, and all that are the same as the last; return whether there are no more."""
    after = to_micros(datetime.now(UTC)) if question.after is None else question.after
    begun, last, before = time.monotonic(), after, 0
    for given in _given(made, from_micros(after)):
        micros, offered = _checked(given)
        if micros <= after:
            before += 1
            if before > _BEFORE:
                raise _Trouble(f"times() gives more than {_BEFORE} times that are not after {from_micros(last)}")
            continue
        if micros < last:
            raise _Trouble(f"times() goes backwards, from {from_micros(last)} to {from_micros(micros)}")
        full = len(times) >= question.count or (times and time.monotonic() - begun > _SHORT)
        if full and micros > last:
            return False
        if times and micros == last and (times[-1][1] == offered or len(times) >= question.count + _SAME):
            raise _Trouble(f"times() does not get on from {from_micros(last)}")
        if micros > to_micros(END):
            return True
        times.append((micros, offered))
        last = micros
    return True


def _given(made: Schedule, after: datetime) -> Iterator[Any]:
    found: Any = made.times(after)
    try:
        return iter(found)
    except TypeError:
        raise _Trouble(f"times() gives {type(found).__name__}, nothing that can be iterated") from None


def _checked(given: Any) -> tuple[int, dict[str, str]]:
    when, names = given if isinstance(given, tuple) and len(given) == 2 else (given, {})
    if not isinstance(when, datetime):
        raise _Trouble(f"times() gives {type(when).__name__}, not a datetime, or a pair of one and a mapping")
    if when.utcoffset() is None:
        raise _Trouble(f"times() gives {when.isoformat()}, which has no zone; use e.g. datetime.UTC")
    if not isinstance(names, Mapping) or len(names) > _NAMES:
        raise _Trouble(f"what is offered with {when.isoformat()} is no mapping of at most {_NAMES} names")
    offered = {}
    for name, value in names.items():
        if not isinstance(name, str) or not 0 < len(name) <= _NAME_LENGTH:
            raise _Trouble(f"the name {str(name)[:60]!r} that is offered with {when.isoformat()} is no name of an arg")
        offered[name] = _shown(value)
        if len(offered[name]) > _VALUE_LENGTH:
            raise _Trouble(f"{name!r} offered with {when.isoformat()} is longer than {_VALUE_LENGTH} characters")
    return to_micros(when.astimezone(UTC)), offered


def _shown(value: Any) -> str:
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return show_time(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def main() -> None:
    """Read, answer, end at once: the class may have left threads, and functions to be called at the end."""
    question = decode(Question, sys.stdin.buffer.read())
    out = os.dup(1)
    # what the class prints is not the answer
    os.dup2(2, 1)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (_SPACE if hard == resource.RLIM_INFINITY else min(_SPACE, hard), hard))
    data = encode(answer(question))
    while data:
        data = data[os.write(out, data) :]
    os._exit(0)


if __name__ == "__main__":
    main()
