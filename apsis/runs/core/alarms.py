"""Telling of runs that start late, take too long or are done too fast: once each, on the run and as an event."""

from collections import deque
from typing import Final

from apsis.jobs.job import Job
from apsis.runs.core.book import HOLDING, Book
from apsis.runs.core.rows import RunRow
from apsis.runs.core.turn import Turn
from apsis.runs.states import State
from apsis.times.durations import show_duration

#: successes from which the usual run time is taken, and how many there must be for it
LAST: Final = 10
_FEWEST: Final = 3
#: a run that takes this many times as long as usual takes too long, and never one of less than a second
_TIMES: Final = 2.0
_SHORTEST: Final = 1.0
_NOT_STARTED: Final = frozenset({State.WAITING, State.STARTING})


def limits(turn: Turn, job: Job) -> tuple[float | None, float | None]:
    """Return the run times, in seconds, below and above which a run of a job is to be told of."""
    expect = job.expect
    least = expect.min if expect else None
    if expect is not None and expect.max is not None:
        return least, expect.max
    times = sorted(_usual(turn, job.job_id))
    if len(times) < _FEWEST:
        return least, None
    middle = len(times) // 2
    median = times[middle] if len(times) % 2 else (times[middle - 1] + times[middle]) / 2
    return least, max(_SHORTEST, _TIMES * median)


def _usual(turn: Turn, job_id: str) -> deque[float]:
    book = turn.book
    found = book.usual.get(job_id)
    if found is None:
        times = book.archive.run_times(job_id, turn.micros, LAST)
        found = book.usual[job_id] = deque(reversed(times), maxlen=LAST)
    return found


def is_late(row: RunRow) -> bool:
    """Say whether a run whose time to start has passed has not, or did so late; and nobody was told."""
    run = row.run
    if "late" in run.raised:
        return False
    return run.state in _NOT_STARTED or (run.late_by is not None and run.late_by > row.facts.late_after)


def counts_as_late(book: Book, run_id: str) -> bool:
    """Say whether a run is still to be looked at when it is late."""
    row = book.rows.get(run_id)
    return row is not None and is_late(row)


def counts_as_long(book: Book, run_id: str) -> bool:
    """Say whether a run is still to be looked at when it takes too long."""
    row = book.rows.get(run_id)
    return row is not None and row.run.state in HOLDING and "too_long" not in row.run.raised


def pass_time(turn: Turn) -> None:
    """Tell of the runs that have become late, or take too long by now."""
    book = turn.book
    for _, run_id in book.late.pop_due(turn.micros):
        if counts_as_late(book, run_id):
            _tell_late(turn, book.rows[run_id])
    for _, run_id in book.long.pop_due(turn.micros):
        if counts_as_long(book, run_id):
            _tell_long(turn, book.rows[run_id])


def at_end(turn: Turn, row: RunRow) -> RunRow:
    """Tell of a run that has ended what no timer came to tell in time, and remember how long it took."""
    run, facts = row.run, row.facts
    if is_late(row) and (run.schedule_time or run.not_before):
        row = _tell_late(turn, row)
    if run.elapsed is None:
        return row
    if facts.most is not None and run.elapsed > facts.most and "too_long" not in run.raised:
        row = _tell_long(turn, row)
    if run.state is State.SUCCESS and not facts.ended_by:
        if facts.least is not None and run.elapsed < facts.least:
            text = f"done in {show_duration(run.elapsed)}; at least {show_duration(facts.least)} is expected"
            row = _tell(turn, row, "too_fast", text)
        if run.job_id in turn.book.usual:
            turn.book.usual[run.job_id].append(run.elapsed)
    return row


def _tell_late(turn: Turn, row: RunRow) -> RunRow:
    run = row.run
    limit = show_duration(row.facts.late_after)
    if run.state in _NOT_STARTED:
        why = f": {run.reason}" if run.reason else ""
        return _tell(turn, row, "late", f"late: not started {limit} after it was due{why}")
    return _tell(turn, row, "late", f"late: started {show_duration(run.late_by or 0.0)} after it was due")


def _tell_long(turn: Turn, row: RunRow) -> RunRow:
    limit = show_duration(row.facts.most or 0.0)
    return _tell(turn, row, "too_long", f"takes too long: more than {limit}")


def _tell(turn: Turn, row: RunRow, what: str, text: str) -> RunRow:
    return turn.note(row, text, event=what, raised=[*row.run.raised, what])
