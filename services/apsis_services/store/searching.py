"""Searching a stream in bounded steps: each looks through some blocks, and says from where to go on."""

from collections.abc import Callable, Iterator
from typing import Final

from apsis.messages.outputs import Hit
from apsis_services.store.reading import line_at, read_range
from apsis_services.store.stream import View

#: bytes that one step looks through: some 20 ms
STEP: Final = 4 * 1024 * 1024
#: bytes of a line that are shown of a hit
_SHOWN: Final = 400

#: gives the [start, stop) of the first match in each line that has one; a line is [start, stop) of the bytes
Finds = Callable[[bytes], Iterator[tuple[int, int]]]


def find_text(text: str) -> Finds:
    """Return a search for a text as it stands."""
    wanted = text.encode()

    def find(data: bytes) -> Iterator[tuple[int, int]]:
        at = data.find(wanted)
        while at >= 0:
            yield at, at + len(wanted)
            line_end = data.find(b"\n", at + len(wanted))
            at = data.find(wanted, line_end + 1) if line_end >= 0 else -1

    return find


def step(view: View, start: int, find: Finds, limit: int, size: int = 1 << 30) -> tuple[list[Hit], int]:
    """Return the hits from an offset on, and the offset at which the next step begins.

    A step ends behind a whole line, so that no match is cut, unless a line is longer than a step; of such
    a line each part is searched by itself. At most `limit` hits, and little more than `size` bytes of their
    text, are returned.

    Raises:
        Damaged: what is stored is not what was written.
    """
    length = view.length
    begin = next((stop for gap, stop in view.gaps if gap <= start < stop), start)
    end = min(length, begin + STEP, *(gap for gap, _ in view.gaps if gap > begin), length)
    if begin >= end:
        return [], length
    data = read_range(view, begin, end, STEP).data
    if end < length and (whole := data.rfind(b"\n") + 1):
        data = data[:whole]
    hits: list[Hit] = []
    number, line_start = line_at(view, begin)
    counted = 0
    for first, last in find(data):
        if len(hits) == limit or size <= 0:
            return hits, begin + data.rfind(b"\n", 0, first) + 1
        number += data.count(b"\n", counted, first)
        counted = first
        newline = data.rfind(b"\n", 0, first)
        offset = begin + newline + 1 if newline >= 0 else line_start
        hits.append(_hit(data, begin, number, offset, first, last))
        size -= len(hits[-1].text) * 4
    return hits, begin + len(data)


def _hit(data: bytes, begin: int, number: int, offset: int, first: int, last: int) -> Hit:
    """Return one hit, of a long line with what is around the place."""
    shown = max(offset - begin, first - _SHOWN // 2, 0)
    end = data.find(b"\n", last)
    stop = min(end if end >= 0 else len(data), max(shown + _SHOWN, min(last, shown + 2 * _SHOWN)))
    last = min(last, stop)
    before = data[shown:first].decode("utf-8", "replace")
    match = data[first:last].decode("utf-8", "replace")
    after = data[last:stop].decode("utf-8", "replace")
    span = (len(before), len(before) + len(match))
    return Hit(line=number, offset=offset, at=begin + shown, text=before + match + after, span=span)
