"""The searcher: a process of its own that tries a regular expression on lines. Standard library alone.

An expression may take for ever on one line, and holds Python's lock meanwhile. So it does that here, where
nobody else waits, and whoever asked ends this process when its time is over.

In: length of a JSON object `[expression, fold]`, length of the data (both u32), the two. Out: u32 length and
a JSON list of the [start, stop) of the first match in each line that has one, or `{"error": text}`.
"""

import json
import os
import re
import resource
import select
import struct
import sys
from typing import Final

#: seconds without a question after which it ends
IDLE: Final = 30.0
#: bytes that it may have in memory: an expression can ask for all there is
MEMORY: Final = 512 * 1024 * 1024

HEAD: Final = struct.Struct("<II")
SIZE: Final = struct.Struct("<I")


def matches(expression: str, fold: bool, data: bytes) -> list[tuple[int, int]]:
    """Return where the first match of each line stands, in bytes of the data.

    Raises:
        re.error, OverflowError, RecursionError: it is no expression.
    """
    pattern = re.compile(expression, re.IGNORECASE if fold else 0)
    found = []
    at = 0
    for line in data.split(b"\n"):
        text = line.decode("utf-8", "surrogateescape")
        match = pattern.search(text)
        if match is not None:
            first, last = match.span()
            if len(text) != len(line):
                first = len(text[:first].encode("utf-8", "surrogateescape"))
                last = len(text[:last].encode("utf-8", "surrogateescape"))
            found.append((at + first, at + last))
        at += len(line) + 1
    return found


def answer(question: bytes, data: bytes) -> bytes:
    """Return the answer to one question."""
    expression, fold = json.loads(question)
    try:
        result: object = matches(expression, fold, data)
    except (re.error, OverflowError, RecursionError, MemoryError) as error:
        result = {"error": str(error) or type(error).__name__}
    return json.dumps(result, separators=(",", ":")).encode()


def read_exactly(file: int, length: int) -> bytes:
    """Return so many bytes; fewer if the other end is gone."""
    parts = []
    while length and (part := os.read(file, min(length, 1 << 20))):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def main() -> None:
    """Answer until nobody asks any more."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    while select.select([0], [], [], IDLE)[0]:
        head = read_exactly(0, HEAD.size)
        if len(head) < HEAD.size:
            return
        first, second = HEAD.unpack(head)
        question, data = read_exactly(0, first), read_exactly(0, second)
        if len(question) < first or len(data) < second:
            return
        result = answer(question, data)
        sys.stdout.buffer.write(SIZE.pack(len(result)) + result)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
