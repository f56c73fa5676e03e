"""Answering readers: in threads, a bounded number at a time, each answer of a bounded size."""

import asyncio
import logging
import re
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final

from apsis.errors import ApsisError, BadRequest
from apsis.messages.body import Body
from apsis.messages.outputs import Found, OutputStat, ReadLines, ReadRange, Search, Slice, Stats
from apsis_bus.peer import Delivery
from apsis_services.store.blocks import Damaged
from apsis_services.store.matcher import Matcher
from apsis_services.store.names import RunKey
from apsis_services.store.removals import Removal
from apsis_services.store.repository import Part, Removed, Repository, Stat
from apsis_services.store.searching import find_text, step

#: bytes in one answer: below the bus' 1 MiB a message, and whole blocks
ANSWER_MAX: Final = 768 * 1024
READERS: Final = 2
#: reads that may wait for a thread; more are answered `busy`
READS_MAX: Final = 64
#: searches that may wait for theirs
SEARCHES_MAX: Final = 16
#: hits in one answer, and characters of what is looked for
HITS_MAX: Final = 1000
TEXT_MAX: Final = 1000
#: bytes of hits in one answer, so that it fits into a frame
_FOUND_MAX: Final = 512 * 1024

_Answer = tuple[Body, bytes | None]


class Answers:
    """Reads the repository for whoever asks."""

    def __init__(self, repository: Repository, log: logging.Logger) -> None:
        self._repository = repository
        self._log = log
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="read")
        #: searches have a thread of their own: they take long, and readers do not wait for them
        self._searcher = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._matcher = Matcher()
        self._under_way: dict[Executor, int] = {self._readers: 0, self._searcher: 0}

    def close(self) -> None:
        """Begin nothing more."""
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._searcher.shutdown(wait=False, cancel_futures=True)
        self._matcher.close()

    def range(self, message: ReadRange) -> _Answer:
        """Return bytes."""
        key = RunKey(message.journal, message.run_id)
        return _slice(self._repository.read_range(key, message.stream, message.start, message.stop, ANSWER_MAX))

    def lines(self, message: ReadLines) -> _Answer:
        """Return whole lines."""
        key = RunKey(message.journal, message.run_id)
        return _slice(self._repository.read_lines(key, message.stream, message.first, message.count, ANSWER_MAX))

    def stats(self, message: OutputStat) -> _Answer:
        """Return what there is of each stream."""
        stats = self._repository.stat(RunKey(message.journal, message.run_id))
        return Stats(streams={stream: _without_bytes(stat) for stream, stat in stats.items()}), None

    def search(self, message: Search, delivery: Delivery) -> None:
        """Have one step of a search done."""
        if not message.text or len(message.text) > TEXT_MAX or "\n" in message.text:
            delivery.no("bad_request", f"what is searched for has 1 to {TEXT_MAX} characters and no line break")
            return
        self._give(self._searcher, SEARCHES_MAX, delivery, lambda: self._search(message))

    def give(self, delivery: Delivery, read: Callable[[], _Answer]) -> None:
        """Answer with what a read returns, or with why it could not be read."""
        self._give(self._readers, READS_MAX, delivery, read)

    def _search(self, message: Search) -> _Answer:
        view, stat = self._repository.look(RunKey(message.journal, message.run_id), message.stream)
        if message.regex or message.fold:
            expression = message.text if message.regex else re.escape(message.text)
            find = self._matcher.finder(expression, fold=message.fold)
        else:
            find = find_text(message.text)
        limit = min(max(1, message.limit), HITS_MAX)
        hits, position = step(view, max(0, message.start), find, limit, size=_FOUND_MAX)
        return Found(hits=hits, next=position, length=stat.length, complete=stat.complete), None

    def _give(self, threads: Executor, most: int, delivery: Delivery, read: Callable[[], _Answer]) -> None:
        if self._under_way[threads] >= most:
            delivery.no("busy", "the store has many reads to answer; ask again")
            return
        self._under_way[threads] += 1

        def answer(future: "asyncio.Future[_Answer]") -> None:
            self._under_way[threads] -= 1
            if future.cancelled():
                return
            error = future.exception()
            if error is None:
                delivery.ok(*future.result())
            else:
                self._refuse(delivery, error)

        asyncio.get_running_loop().run_in_executor(threads, read).add_done_callback(answer)

    def _refuse(self, delivery: Delivery, error: BaseException) -> None:
        match error:
            case Removed():
                delivery.no("gone", _words(error.removal))
            case BadRequest():
                delivery.no("bad_request", error.message if not error.hint else f"{error.message}: {error.hint}")
            case ApsisError():
                delivery.no(error.code, error.message)
            case FileNotFoundError():
                delivery.no("not_found", "the output was removed")
            case Damaged() | OSError():
                self._log.error("stored output cannot be read: %s", error, extra={"event": "output_damaged"})
                delivery.no("damaged", f"the stored output cannot be read: {error}")
            case _:
                raise error


def _words(removal: Removal) -> str:
    day = datetime.fromtimestamp(removal.at, UTC).date().isoformat()
    return f"the output was removed on {day} by retention ({removal.reason})"


def _slice(part: Part) -> _Answer:
    piece, stat = part.piece, part.stat
    header = Slice(
        start=piece.start, line=piece.line, length=stat.length, complete=stat.complete, lines=stat.lines, gaps=stat.gaps
    )
    return header, piece.data


def _without_bytes(stat: Stat) -> Slice:
    return Slice(start=0, length=stat.length, complete=stat.complete, lines=stat.lines, gaps=stat.gaps)
