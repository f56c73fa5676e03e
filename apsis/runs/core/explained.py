"""Why a run waits, as the scheduler itself judges it: each thing that it has to pass, and who could let it past."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from apsis.conditions import Condition, Dependency, MaxRunning, SkipDuplicate
from apsis.runs.core.book import HOLDING, Book
from apsis.runs.core.judging import LAST, End, Go, Wait, judge, older_run
from apsis.runs.core.rows import RunRow, args_key
from apsis.runs.core.waiting import ForHand, ForPlace, ForResource, ForResources

#: runs that are named for one thing
NAMED: Final = 20
PASSED: Final = "passed"
WAITING: Final = "waiting"
LATER: Final = "not yet looked at"


@dataclass(frozen=True, slots=True)
class Explained:
    """One thing that a run has to pass: `passed`, `waiting` or `not yet looked at`."""

    text: str
    state: str
    #: what it waits for, or why it cannot be passed; "" where it is passed
    waits_for: str = ""
    #: runs whose end, or whose success, could let it past
    run_ids: tuple[str, ...] = ()


def explain(book: Book, row: RunRow) -> list[Explained]:
    """Return the conditions of a waiting run in the order in which they count, then what else it waits for."""
    verdict = judge(book, row)
    passed = verdict.passed if isinstance(verdict, Wait) else row.facts.passed
    conditions = book.conditions(row)
    listed = [(index, each) for index, each in enumerate(conditions) if not _is_last(each)]
    found: list[Explained] = []
    if not row.facts.forced:
        found += [_listed(book, each, index, passed, verdict) for index, each in listed]
    all_listed = all(index < passed for index, _ in listed)
    if not row.facts.forced:
        found += [_last(book, row, each, verdict, looked_at=all_listed) for each in conditions if _is_last(each)]
    if isinstance(verdict, Wait) and not any(each.state == WAITING for each in found):
        found.append(Explained(_what(verdict), WAITING, verdict.reason, _holders(book, row, verdict)))
    return found


def _is_last(condition: Condition) -> bool:
    return isinstance(condition, LAST)


def _listed(book: Book, condition: Condition, index: int, passed: int, verdict: Go | Wait | End) -> Explained:
    if index < passed:
        return Explained(condition.text, PASSED)
    if index > passed or not isinstance(verdict, Wait | End):
        return Explained(condition.text, LATER)
    run_ids: tuple[str, ...] = ()
    if isinstance(condition, Dependency):
        run_ids = tuple(book.unfinished.get((condition.job_id, args_key(condition.args)), ()))[:NAMED]
    return Explained(condition.text, WAITING, verdict.reason, run_ids)


def _last(book: Book, row: RunRow, condition: Condition, verdict: Go | Wait | End, *, looked_at: bool) -> Explained:
    if not looked_at:
        return Explained(condition.text, LATER)
    if isinstance(condition, MaxRunning):
        key = None if condition.args is None else args_key(condition.args)
        if isinstance(verdict, Wait) and verdict.need == ForPlace(condition.job_id, key, condition.count):
            holding = _where(book, lambda each: _has_place(each, condition.job_id, key))
            ahead = book.waiting.all_of(verdict.need)
            return Explained(condition.text, WAITING, verdict.reason, (holding or tuple(ahead))[:NAMED])
        return Explained(condition.text, PASSED)
    if isinstance(condition, SkipDuplicate):
        older = older_run(book, row, condition)
        if older is not None:
            return Explained(condition.text, WAITING, f"it is a duplicate of {older}", (older,))
    return Explained(condition.text, PASSED)


def _has_place(row: RunRow, job_id: str, key: str | None) -> bool:
    return row.run.job_id == job_id and key in (None, row.args_key)


def _where(book: Book, counts: Callable[[RunRow], bool]) -> tuple[str, ...]:
    return tuple(run_id for run_id, each in book.rows.items() if each.run.state in HOLDING and counts(each))


def _what(verdict: Wait) -> str:
    if isinstance(verdict.need, ForResources):
        return f"resources: {', '.join(verdict.need.names)}"
    return "a start by hand" if isinstance(verdict.need, ForHand) else type(verdict.need).__name__[3:].lower()


def _holders(book: Book, row: RunRow, verdict: Wait) -> tuple[str, ...]:
    """Return who holds what a run lacks, and who stands before it."""
    if not isinstance(verdict.need, ForResources):
        return ()
    names = set(verdict.need.names)
    holding = _where(book, lambda each: not names.isdisjoint(each.facts.resources))
    before: list[str] = []
    for name in sorted(names):
        line = book.waiting.all_of(ForResource(name))
        before += line[: line.index(row.run.run_id)] if row.run.run_id in line else line
    return tuple(dict.fromkeys((*holding, *before)))[:NAMED]
