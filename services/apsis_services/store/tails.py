"""The form of a tail on disk: raw bytes that do not fill a block yet, each piece guarded. Pure.

A header names the offset of the first byte. Pieces follow: length, crc32, bytes. The crc goes on from that of
the piece before, so that none can be changed, left out or exchanged without being seen.
"""

import struct
import zlib
from typing import Final, NamedTuple

_HEADER: Final = struct.Struct("<4sQ")
_CRC: Final = struct.Struct("<I")
_PIECE: Final = struct.Struct("<II")
_MAGIC: Final = b"APt2"
#: bytes of a tail's header
TAIL_HEADER: Final = _HEADER.size + _CRC.size
#: bytes before each piece
PIECE_HEADER: Final = _PIECE.size


class Recovered(NamedTuple):
    """What of a tail file is whole."""

    #: what it adds after the settled length
    data: bytes
    #: bytes of the file that count; the rest is torn
    size: int
    #: crc of the last piece, from which the next goes on
    crc: int


def tail_header(start: int) -> bytes:
    """Return the header of a tail whose first byte has this offset."""
    body = _HEADER.pack(_MAGIC, start)
    return body + _CRC.pack(zlib.crc32(body))


def tail_piece(data: bytes, crc: int) -> tuple[bytes, int]:
    """Return a piece as it goes into the file, and its crc; `crc` is that of the piece before, 0 of the first."""
    crc = zlib.crc32(data, crc)
    return _PIECE.pack(len(data), crc) + data, crc


def tail_from(content: bytes, settled: int) -> Recovered | None:
    """Return what a tail file adds after the settled length; None if it is of no use and must be emptied.

    A tail that begins before `settled` was sealed, and the crash came before it was emptied: what is in a
    block already is left out. One that begins after it hangs in the air, because blocks before it were lost.
    """
    if len(content) < TAIL_HEADER:
        return None
    magic, start = _HEADER.unpack_from(content)
    if magic != _MAGIC or _CRC.unpack_from(content, _HEADER.size)[0] != zlib.crc32(content[: _HEADER.size]):
        return None
    if start > settled:
        return None
    at, crc, parts = TAIL_HEADER, 0, []
    while at + PIECE_HEADER <= len(content):
        length, stated = _PIECE.unpack_from(content, at)
        data = content[at + PIECE_HEADER : at + PIECE_HEADER + length]
        if len(data) < length or not length or zlib.crc32(data, crc) != stated:
            break
        parts.append(data)
        crc = stated
        at += PIECE_HEADER + length
    whole = b"".join(parts)
    if start + len(whole) <= settled:
        return None
    return Recovered(whole[settled - start :], at, crc)
