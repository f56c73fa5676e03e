"""Lines that say themselves whether they are whole: `crc32 JSON`, so that a torn end is seen and left out."""

import zlib
from collections.abc import Iterator
from typing import Any

from apsis.messages.body import decode, encode


def seal(content: object) -> bytes:
    """Return content as one guarded line."""
    body = encode(content)
    return b"%08x %b\n" % (zlib.crc32(body), body)


def unseal_at(data: bytes, kind: Any) -> Iterator[tuple[Any, int]]:
    """Yield the content and the end of each whole line up to the first that is torn or damaged.

    Nothing after that one counts.
    """
    at = 0
    while (end := data.find(b"\n", at)) >= 0:
        body = data[at + 9 : end]
        if data[at : at + 8] != b"%08x" % zlib.crc32(body) or not body:
            return
        at = end + 1
        yield decode(kind, body), at


def unseal(data: bytes, kind: Any) -> Iterator[Any]:
    """Yield the content of each line that counts."""
    return (content for content, _ in unseal_at(data, kind))
