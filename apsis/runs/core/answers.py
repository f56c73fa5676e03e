"""Conditions that are looked at outside of the core: what is asked, and what follows from what was found."""

from typing import Final

from msgspec.structs import replace

from apsis.conditions import Asked
from apsis.runs.core.book import Book
from apsis.runs.core.inputs import ConditionSaid
from apsis.runs.core.judging import asked_reason
from apsis.runs.core.said import Question, Said
from apsis.runs.core.turn import Turn
from apsis.runs.core.waiting import ForAnswer
from apsis.runs.states import State

#: microseconds in which a run's log tells no other finding: a condition that is polled for a day, and says another
#: thing each time, would else fill it. They double each time
QUIET: Final = 30_000_000
QUIET_AT_MOST: Final = 3_600_000_000
#: characters of what was found
_LONGEST: Final = 300


def hear(turn: Turn, said: ConditionSaid) -> None:
    """Let a run go on whose condition holds, end one whose condition cannot be looked at, and tell what was found."""
    book = turn.book
    row = book.rows.get(said.run_id)
    if row is None or book.waiting.need(said.run_id) != ForAnswer(said.run_id, said.index):
        # it was started by hand, skipped, or waits for something else by now
        return
    condition = book.conditions(row)[said.index]
    if not isinstance(condition, Asked):
        return
    text = _on_one_line(said.text)
    if said.what == "holds":
        # written down now, whatever it waits for next: what was true once stays so
        turn.keep(row, replace(row.facts, passed=said.index + 1))
        book.said.pop(said.run_id, None)
        book.agenda.append(said.run_id)
    elif said.what == "fails":
        turn.move(row, State.ERROR, f"its condition {condition.text}: {text}")
    else:
        known = book.said.get(said.run_id)
        if known is None or turn.micros >= known.quiet_until:
            quiet = min(QUIET_AT_MOST, known.quiet * 2) if known else QUIET
            book.said[said.run_id] = Said(text, turn.micros + quiet, quiet)
            reason = asked_reason(book, row, condition)
            if reason != row.run.reason:
                turn.note(row, reason, reason=reason)
        else:
            book.said[said.run_id] = Said(text, known.quiet_until, known.quiet)


def questions(book: Book) -> dict[str, Question | None]:
    """Return which conditions are to be looked at from now on, and which no more, since this was asked last."""
    found: dict[str, Question | None] = {}
    for run_id, index in book.waiting.asked.items():
        row = book.rows.get(run_id) if index is not None else None
        if row is None or index is None:
            found[run_id] = None
            continue
        run = row.run
        found[run_id] = Question(run_id, index, run.conditions[index], run.job_id, run.args, run.schedule_time)
    book.waiting.asked.clear()
    return found


def _on_one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
