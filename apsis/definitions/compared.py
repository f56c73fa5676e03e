"""Comparing two definitions, key by key."""

from collections.abc import Iterator
from typing import Any

from apsis.definitions.finding import Path


def paths(old: Any, new: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the paths at which two definitions differ, those of the new one first; 1, 1.0 and true are three values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**new, **old}:
            if key in old and key in new:
                yield from paths(old[key], new[key], (*path, key))
            else:
                yield (*path, key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from paths(before, after, (*path, index))
    elif type(old) is not type(new) or old != new:
        yield path
