"""Judging: whether a bound run may start now, and what it waits for otherwise. Nothing is changed here.

What a run passes, in this order:

1. the clock, and a pause of its job;
2. its conditions as listed, each for good once it is true;
3. room on the disks, and its host;
4. together, and anew each time: duplicates, places under `max_running`, resources, a slot on its host.

In the last step many may want what few can have. Whoever waits there stands in a line, and nobody passes who comes
after one that waits: the higher priority first, then the earlier due time, then the smaller number. A run that waits
for resources stands in the line of each that it asks for, and takes all at once or none; so one that needs much is not
passed over by those that need little, and one that needs more than there is at all stands in no line.
"""

from dataclasses import dataclass, field
from typing import Final

from apsis.conditions import Asked, Condition, Const, Dependency, MaxRunning, SkipDuplicate
from apsis.runs.core.book import Book
from apsis.runs.core.lines import Order
from apsis.runs.core.pauses import holds
from apsis.runs.core.rows import RunRow, args_key, due_of
from apsis.runs.core.waiting import (
    Claimed,
    ForAnswer,
    ForClock,
    ForHand,
    ForHost,
    ForPause,
    ForPlace,
    ForResource,
    ForResources,
    ForRoom,
    ForRuns,
    ForSlot,
    Need,
)
from apsis.runs.states import FINISHED, State
from apsis.times import parse_time, to_micros

#: conditions of the last step
LAST: Final = (MaxRunning, SkipDuplicate)
#: states of a run that has come due, and has not ended
_ON_ITS_WAY: Final = frozenset({State.WAITING, State.STARTING, State.RUNNING, State.STOPPING})
#: later than any time
_NEVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Go:
    """It may start."""


@dataclass(frozen=True, slots=True)
class Wait:
    """It waits for one thing; `passed` of its conditions are true already."""

    need: Need
    reason: str
    passed: int
    #: places and resources that it has got past already, and counts on
    claims: dict[Claimed, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class End:
    """It does not start at all: what it waits for can never come, or it is a duplicate."""

    state: State
    reason: str


def judge(book: Book, row: RunRow) -> Go | Wait | End:
    """Decide about a bound run."""
    passed = row.facts.passed
    if book.clock_is_back:
        return Wait(ForClock(), "waiting for the clock, which is more than an hour behind the last commit", passed)
    if held := holds(book, row):
        key = row.run.job_id if row.run.job_id in book.pauses else ""
        return Wait(ForPause(key), held, passed)
    conditions = book.conditions(row)
    if not row.facts.forced:
        for condition in conditions[passed:]:
            verdict = _listed(book, row, condition, passed)
            if verdict is not None:
                return verdict
            passed += 1
    ready = room(book, row, passed) or _host(book, row, passed)
    if ready is not None:
        return ready
    claims: dict[Claimed, int] = {}
    last = _shared(book, row, passed, claims) if not row.facts.forced else None
    return last or slot(book, row, passed, claims) or Go()


def _listed(book: Book, row: RunRow, condition: Condition, index: int) -> Wait | End | None:
    """Judge a condition that stays true; None: it is, or it belongs to the last step."""
    if isinstance(condition, Dependency):
        return _depend(book, condition, index)
    if isinstance(condition, Const) and not condition.value:
        return Wait(ForHand(), f"waiting for {condition.text}", index)
    if isinstance(condition, Asked):
        return Wait(ForAnswer(row.run.run_id, index), asked_reason(book, row, condition), index)
    return None


def asked_reason(book: Book, row: RunRow, condition: Asked) -> str:
    """Return why a run waits for a condition that is looked at outside: what was found last, if that is known."""
    said = book.said.get(row.run.run_id)
    return f"waiting until {condition.text}{f': {said.text}' if said else ''}"


def _shared(book: Book, row: RunRow, passed: int, claims: dict[Claimed, int]) -> Wait | End | None:
    """Judge what others want as well: duplicates, places, resources."""
    order = order_of(row)
    for condition in book.conditions(row):
        if isinstance(condition, SkipDuplicate):
            older = older_run(book, row, condition)
            if older is not None:
                state = State(condition.target_state)
                return End(state, f"a duplicate of {older}: {condition.text} is asked for")
    for condition in book.conditions(row):
        if isinstance(condition, MaxRunning):
            key = None if condition.args is None else args_key(condition.args)
            need = ForPlace(condition.job_id, key, condition.count)
            taken = book.holding[condition.job_id, key] + book.waiting.claims.before((condition.job_id, key), order)
            if taken >= condition.count or book.waiting.before(need, order) is not None:
                return Wait(need, f"waiting until {condition.text}", passed, claims)
            claims[condition.job_id, key] = 1
    return _resources(book, row, passed, claims, order)


def _resources(book: Book, row: RunRow, passed: int, claims: dict[Claimed, int], order: Order) -> Wait | None:
    wanted = row.facts.resources
    if not wanted:
        return None
    for name, count in wanted.items():
        if count > book.total(name):
            return Wait(ForHand(), f"waiting for a start by hand: {too_much(book, name, count)}", passed, {})
    need = ForResources(tuple(sorted(wanted)))
    for name, count in sorted(wanted.items()):
        if lacks(book, name, count, order):
            shown = ", ".join(f"{many} of {each}" for each, many in sorted(wanted.items()))
            return Wait(need, f"waiting for resources: {shown}, and there is not enough of {name}", passed, claims)
    claims.update(wanted)
    return None


def lacks(book: Book, name: str, count: int, order: Order) -> bool:
    """Say whether there is too little left of a resource for one of this order, or somebody stands before it."""
    from_waiting = book.waiting.claims.before(name, order)
    too_little = book.taken[name] + from_waiting + count > book.total(name)
    return too_little or book.waiting.before(ForResource(name), order) is not None


def too_much(book: Book, name: str, count: int) -> str:
    """Return why a run can never have what it asks for."""
    if not book.total(name):
        return f"its job asks for the resource {name!r}, which is not in the config; add it under `resources`"
    return f"its job asks for {count} of {name!r}, and there are only {book.total(name)}; change one of the two"


def room(book: Book, row: RunRow, passed: int) -> Wait | None:
    """Judge whether there is room on the disks that a start needs."""
    for place in ("", row.run.host):
        if place is not None and (lack := book.no_room.get(place)):
            return Wait(ForRoom(place), f"waiting for room on a disk: {lack}", passed)
    return None


def _host(book: Book, row: RunRow, passed: int) -> Wait | None:
    name = row.run.host
    if name is None:
        return None
    host = book.hosts.get(name)
    if host is None or not host.connected:
        return Wait(ForHost(name), f"waiting for host {name}, whose supervisor is away", passed)
    if host.row.journal != book.journal:
        return Wait(ForHost(name), f"waiting until host {name} has told what it ran before the restore", passed)
    return None


def slot(book: Book, row: RunRow, passed: int, claims: dict[Claimed, int]) -> Wait | None:
    """Judge whether the host of a run may have one more at a time."""
    name = row.run.host
    if name is None:
        return None
    host = book.hosts[name]
    places = book.settings.per_core * max(1, host.row.cores)
    if len(host.busy) >= places or book.waiting.before(ForSlot(name), order_of(row)) is not None:
        return Wait(ForSlot(name), f"waiting for one of the {places} runs at a time of host {name}", passed, claims)
    return None


def _depend(book: Book, condition: Dependency, passed: int) -> Wait | End | None:
    key = args_key(condition.args)
    if any_in(book, condition.job_id, key, condition.states):
        return None
    if condition.exist is not None and not any_in(
        book, condition.job_id, key, (*condition.exist, *condition.states)
    ):  # fmt: skip
        reason = f"{condition.text} cannot come true: there is no such run that could get there"
        return End(State.ERROR, reason)
    # one that must exist may cease to: each step of such a run matters
    states = condition.states if condition.exist is None else None
    return Wait(ForRuns(condition.job_id, key, states), f"waiting until {condition.text}", passed)


def any_in(book: Book, job_id: str, key: str, states: tuple[str, ...]) -> bool:
    """Say whether any run of a job with these args, unfinished or not, is in one of the states."""
    wanted = {State(state) for state in states}
    if any(book.standing[job_id, key, state] for state in wanted):
        return True
    same = [book.fresh[run_id] for run_id in book.fresh_ids.get((job_id, key), ())]
    if any(row.run.state in wanted for row in same):
        return True
    ended = wanted & FINISHED
    if not ended:
        return False
    # a run marked in this turn is stored with the state that it had: as many more are asked for as may be such
    stale = {row.run.run_id for row in same}
    stored = book.archive.finished(job_id, key, ended, len(stale) + 1)
    return any(run_id not in stale for run_id in stored)


def older_run(book: Book, row: RunRow, condition: SkipDuplicate) -> str | None:
    """Return an older run of the same job and args in one of the states of a `skip_duplicate`."""
    run, key = row.run, row.args_key
    states = {State(state) for state in condition.check_states}
    on_its_way = states & _ON_ITS_WAY
    if any(book.standing[run.job_id, key, state] for state in on_its_way):
        mine = _came_due(row)
        for run_id in book.unfinished.get((run.job_id, key), ()):
            other = book.rows[run_id]
            if run_id != run.run_id and other.run.state in on_its_way and _came_due(other) < mine:
                return run_id
    ended = states & FINISHED
    if not ended:
        return None
    fresh = book.fresh_ids.get((run.job_id, key), ())
    found = [run_id for run_id in fresh if book.fresh[run_id].run.state in ended]
    stored = book.archive.finished(run.job_id, key, ended, len(fresh) + 1)
    found += [run_id for run_id in stored if run_id not in fresh]
    return found[0] if found else None


def _came_due(row: RunRow) -> tuple[str, int]:
    """Return since when a run is on its way, as text that sorts; of one that just comes due: after all others."""
    stamps = row.run.timestamps
    since = stamps.get(State.WAITING.value) or stamps.get(State.STARTING.value) or "~"
    return since, row.num


def order_of(row: RunRow) -> Order:
    """Return which place in a line a run has."""
    run = row.run
    due = due_of(run)
    if due is None:
        first = min(run.timestamps.values(), default=None)
        due = to_micros(parse_time(first)) if first else _NEVER
    return Order(-row.facts.priority, due, row.num)
