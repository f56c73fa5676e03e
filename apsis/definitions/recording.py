"""Recording: which keys a reader asks for, and in which form, noted while it reads; so the schema is made."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from apsis.definitions.finding import Path


@dataclass(frozen=True, slots=True)
class Asked:
    """One key that was asked for."""

    #: who asked: one mapping may be read by several, each of them taking its own keys
    reader: object
    path: Path
    key: str
    #: what makes the value of it; None: it was taken as it stands
    form: Callable[[Any], Any] | None = None
    required: bool = False
    #: it holds a mapping, whose keys were asked for too
    nested: bool = False


#: what is asked for, while somebody records; else None
_asked: list[list[Asked] | None] = [None]


def is_recording() -> bool:
    """Say whether keys are being noted: a mapping that is not there is then read as an empty one."""
    return _asked[0] is not None


def note(asked: Asked) -> None:
    """Note a key, where somebody records."""
    if _asked[0] is not None:
        _asked[0].append(asked)


@contextmanager
def recording() -> Iterator[list[Asked]]:
    """Note all keys that are asked for in this block. It is for one thread, and for definitions that hold nothing."""
    found: list[Asked] = []
    before, _asked[0] = _asked[0], found
    try:
        yield found
    finally:
        _asked[0] = before
