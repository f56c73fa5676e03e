"""Lists that are cut so that each piece fits into one message of the bus."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

from apsis.messages.body import encode

T = TypeVar("T")
#: items in one message
ITEMS: Final = 64
#: bytes of them; one that is larger by itself goes alone, and every one is smaller than a message may be
BYTES: Final = 512 * 1024


def batches(items: Iterable[T], body_of: Callable[[T], Any]) -> Iterator[list[T]]:
    """Yield items in order, in lists of at most `ITEMS`, whose bodies have at most `BYTES` together."""
    batch: list[T] = []
    size = 0
    for item in items:
        more = len(encode(body_of(item)))
        if batch and (len(batch) == ITEMS or size + more > BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += more
    if batch:
        yield batch
