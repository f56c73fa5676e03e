"""Lines that say themselves whether they are whole: `crc32 JSON`, so that a torn end is seen and left out."""

import zlib
from collections.abc import Iterator
from typing import Any

from apsis.messages.body import decode, encode


def seal(content: object) -> bytes:
    """Return content as one guarded line."""
    body = encode(content)
    return b"%08x %b\n" % (zlib.crc32(body), body)


def unseal(data: bytes, kind: Any) -> Iterator[Any]:
    """Yield the content of each whole line up to the first that is torn or damaged; nothing after it counts."""
    for line in data.split(b"\n"):
        body = line[9:]
        if line[:8] != b"%08x" % zlib.crc32(body) or not body:
            return
        yield decode(kind, body)
