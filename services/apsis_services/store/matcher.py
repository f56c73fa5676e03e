"""Asking the searcher process (`matching`) with a limit of time: one that takes longer is ended."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from apsis.errors import BadRequest
from apsis_services.store.matching import HEAD, SIZE
from apsis_services.store.searching import Finds

#: seconds that an expression has for one step
PATIENCE: Final = 2.0
_PROGRAM: Final = Path(__file__).with_name("matching.py")


class TooSlow(BadRequest):
    """A regular expression takes too long on a line."""

    code = "too_slow"


class Matcher:
    """The searcher, started when it is needed. Used by one thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def finder(self, expression: str, *, fold: bool) -> Finds:
        """Return a search for a regular expression.

        Raises (when used):
            BadRequest: it is none; TooSlow: it takes too long.
        """
        question = json.dumps([expression, fold]).encode()

        def find(data: bytes) -> Iterator[tuple[int, int]]:
            yield from self._ask(question, data)

        return find

    def close(self) -> None:
        """End the searcher."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None

    def _ask(self, question: bytes, data: bytes) -> list[tuple[int, int]]:
        message = HEAD.pack(len(question), len(data)) + question + data
        for last in (False, True):
            process = self._running()
            try:
                said = self._exchange(process, message)
            except BrokenPipeError:  # it has gone to rest just now, or needed more memory than it may have
                self.close()
                if last:
                    raise BadRequest("the expression needs too much memory", hint="make it simpler", loc="q") from None
                continue
            except TimeoutError:
                self.close()
                raise TooSlow(
                    "the expression takes too long on a line",
                    hint="avoid repetitions inside repetitions, such as (a+)+, or search for a plain text",
                    loc="q",
                ) from None
            found = json.loads(said)
            if isinstance(found, dict):
                raise BadRequest(f"that is no regular expression: {found['error']}", loc="q")
            return [(first, stop) for first, stop in found]
        raise AssertionError("unreachable")

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                cwd="/",
                env={},
            )
            assert self._process.stdin is not None
            os.set_blocking(self._process.stdin.fileno(), False)
        return self._process

    @staticmethod
    def _exchange(process: "subprocess.Popen[bytes]", message: bytes) -> bytes:
        """Send a question and return its answer.

        Raises:
            BrokenPipeError: the searcher is gone; TimeoutError: it does not answer in time.
        """
        assert process.stdin is not None
        assert process.stdout is not None
        into, out = process.stdin.fileno(), process.stdout.fileno()
        deadline = time.monotonic() + PATIENCE
        sent = 0
        received = bytearray()
        while len(received) < SIZE.size or len(received) < SIZE.size + SIZE.unpack_from(received)[0]:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            readable, writable, _ = select.select([out], [into] if sent < len(message) else [], [], left)
            if writable:
                sent += os.write(into, memoryview(message)[sent : sent + 65536])
            if readable:
                part = os.read(out, 1 << 20)
                if not part:
                    raise BrokenPipeError
                received += part
        return bytes(received[SIZE.size :])
