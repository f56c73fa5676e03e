"""Jobs that were added, changed and removed, and what that means for the runs made ahead."""

from collections import deque
from dataclasses import dataclass, field
from heapq import heappush
from typing import Any, Final

import msgspec

from apsis.jobs.job import Job
from apsis.runs.core.ahead import refill
from apsis.runs.core.difference import Difference, changed_keys, differ
from apsis.runs.core.inputs import JobsLoaded
from apsis.runs.core.missed import leave
from apsis.runs.core.pauses import job_doc
from apsis.runs.core.plans import Plan
from apsis.runs.core.remade import Remade, expected, foresee
from apsis.runs.core.rows import CursorRow, JobRow, due_of
from apsis.runs.core.turn import SCHEDULER, Turn
from apsis.schedules import Schedule

#: jobs that are taken over in one commit: a due run waits for no more than these
SLICE: Final = 25
#: changed jobs of which it is said which keys are others, and findings that are told
_DETAILED: Final = 500
#: a plan whose runs are made up to later than this from now is looked at after the start (microseconds)
_AHEAD: Final = 60_000_000
#: such plans are looked at so many at a time, with so long between (microseconds)
_GROUP: Final = 25
_PAUSE: Final = 20_000


@dataclass(slots=True)
class Reload:
    """A reading of the job directory that is being taken over, some jobs at a time."""

    loaded: JobsLoaded
    difference: Difference
    actor: str
    #: (what happens to it, job id), in order
    left: deque[tuple[str, str]]
    #: by changed job: the paths of the keys in which it is another
    keys: dict[str, list[str]]
    remade: Remade = field(default_factory=Remade)

    def result(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        difference, errors = self.difference, self.loaded.errors
        return {
            "added": difference.added,
            "changed": difference.changed,
            "removed": difference.removed,
            "keys": self.keys,
            "runs": self.remade.result(),
            "last_good": sorted(self.loaded.broken)[:_DETAILED],
            "held": difference.held,
            "errors": errors[:_DETAILED],
            "errors_in_all": len(errors),
        }


def compare(turn: Turn, loaded: JobsLoaded, actor: str = SCHEDULER) -> Reload:
    """Return what a reading changes; nothing is done about it yet."""
    difference = differ(turn.book.jobs, loaded)
    left = deque(("removed", job_id) for job_id in difference.removed)
    left += [("added", job_id) for job_id in difference.added]
    left += [("changed", job_id) for job_id in difference.changed]
    known = turn.book.jobs
    asked = difference.changed[:_DETAILED] if loaded.asked is not None else []
    keys = {job_id: changed_keys(known[job_id], loaded.jobs[job_id]) for job_id in asked}
    return Reload(loaded, difference, actor, left, keys)


def rehearse(turn: Turn, reload: Reload) -> None:
    """Foresee what would become of the runs made ahead."""
    for what, job_id in reload.left:
        new = None if what == "removed" else reload.loaded.jobs[job_id]
        reload.remade.add(foresee(turn.book, job_id, new, turn.micros))


def begin(turn: Turn, reload: Reload) -> None:
    """Begin to take the jobs over, unless that is held; the first time all at once, and what was missed is caught up.

    Later `go_on` does the rest, and finds `book.reload` gone when all is done.
    """
    book = turn.book
    first, book.loaded = not book.loaded, True
    if reload.difference.held:
        if reload.difference.held != book.held or reload.loaded.asked is not None:
            turn.sys_event("reload_held", reload.actor, reason=reload.difference.held)
        book.held = turn.effects.meta["reload_held"] = reload.difference.held
        reload.left.clear()
    else:
        book.reload = reload
        # conditions and successors name other jobs, which may come later
        book.coming = {job_id: reload.loaded.jobs[job_id] for what, job_id in reload.left if what != "removed"}
    if first:
        fresh = {job_id for _, job_id in reload.left}
        go_on(turn, len(reload.left) + 1)
        others = [job for job in book.jobs.values() if job.job_id not in fresh]
        if _has_new_zones(turn):
            for job in others:
                _replan(turn, job, job, SCHEDULER)
        else:
            for number, job in enumerate(others):
                _plan(turn, job, None, later=turn.micros + number // _GROUP * _PAUSE)
    else:
        go_on(turn)


def _has_new_zones(turn: Turn) -> bool:
    """Take over new rules of the time zones, and say whether runs were made ahead by others."""
    book = turn.book
    before, now = book.zones, book.zones_now
    if before == now:
        return False
    book.zones = turn.effects.meta["zones"] = now
    if before:
        turn.sys_event("time_zones", before=before, now=now)
    return bool(before)


def go_on(turn: Turn, count: int = SLICE) -> None:
    """Take over some jobs of a reload that has begun; each is taken over wholly, in one commit."""
    reload = turn.book.reload
    if reload is None:
        return
    some = [reload.left.popleft() for _ in range(min(count, len(reload.left)))]
    olds = {job_id: turn.book.jobs.get(job_id) for _, job_id in some}
    for what, job_id in some:
        if what == "removed":
            reload.remade.add(_remove(turn, job_id, reload.actor))
        else:
            _take(turn, reload.loaded.jobs[job_id], what, reload.actor)
    for what, job_id in some:
        if what != "removed":
            reload.remade.add(_replan(turn, reload.loaded.jobs[job_id], olds[job_id], reload.actor))
    if not reload.left:
        _end(turn, reload)


def _end(turn: Turn, reload: Reload) -> None:
    book, loaded, difference = turn.book, reload.loaded, reload.difference
    book.reload, book.coming = None, {}
    others = loaded.errors != book.errors
    if others:
        book.errors = loaded.errors
        turn.effects.meta["job_errors"] = msgspec.json.encode(loaded.errors).decode()
    if book.held:
        book.held = turn.effects.meta["reload_held"] = ""
    if difference.size or others or loaded.asked:
        turn.sys_event(
            "reloaded",
            reload.actor,
            added=len(difference.added),
            changed=len(difference.changed),
            removed=len(difference.removed),
            errors=len(loaded.errors),
        )


def _take(turn: Turn, job: Job, event: str, actor: str) -> None:
    book = turn.book
    book.jobs[job.job_id] = job
    book.coming.pop(job.job_id, None)
    book.keep_version(job)
    doc = job_doc(book, job)
    turn.effects.versions[job.version] = (job.job_id, job.definition)
    turn.effects.jobs[job.job_id] = JobRow(job.job_id, job.version, doc, at=turn.micros)
    turn.job_event(job.job_id, event, actor, doc)


def _remove(turn: Turn, job_id: str, actor: str) -> Remade:
    book = turn.book
    old = book.jobs.pop(job_id, None)
    rows = expected(book, job_id, turn.micros)
    turn.withdraw_all(rows)
    for key in list(book.cursors.get(job_id, ())):
        _drop(turn, job_id, key, old)
    turn.effects.jobs[job_id] = None
    withdrawn = [row.run.run_id for row in rows]
    turn.job_event(job_id, "removed", actor, None, withdrawn=withdrawn)
    return Remade(withdrawn=withdrawn)


def _replan(turn: Turn, job: Job, old: Job | None, actor: str) -> Remade:
    """Make the runs of a new or changed job from now on; keep those that are still due, withdraw the others."""
    book = turn.book
    rows = expected(book, job.job_id, turn.micros) if old else []
    for row in rows:
        book.set_aside(row)
    _plan(turn, job, old)
    gone = [book.rows[run_id] for run_id in list(book.aside)]
    for row in gone:
        book.take_back(row.run.run_id)
    turn.withdraw_all(gone)
    withdrawn = [row.run.run_id for row in gone]
    if withdrawn:
        turn.job_event(job.job_id, "withdrawn", actor, job_doc(book, job), withdrawn=withdrawn)
    kept = {row.run.run_id for row in rows}
    after = expected(book, job.job_id, turn.micros)
    return Remade(
        kept=[row.run.run_id for row in after if row.run.run_id in kept],
        withdrawn=withdrawn,
        made=[(job.job_id, due_of(row.run) or 0, row.run.run_id) for row in after if row.run.run_id not in kept],
    )


def _plan(turn: Turn, job: Job, old: Job | None, later: int | None = None) -> None:
    """Give each schedule of a job a plan: a known one goes on from its cursor, a new or changed one from now.

    With `later` (microseconds), one whose runs are made for some time ahead is not looked at before then.
    """
    book = turn.book
    same = {schedule.key: schedule for schedule in old.schedules} if old else None
    known = book.cursors.get(job.job_id, {})
    keys = set()
    for schedule in job.schedules:
        if not schedule.enabled:
            continue
        key = schedule.key
        keys.add(key)
        cursor = known.get(key)
        if cursor is None or (same is not None and _changed(same.get(key), schedule)):
            _leave(turn, old, key, cursor)
            cursor = CursorRow(job_id=job.job_id, key=key, at=turn.micros)
        elif same is not None:
            # what lies ahead is walked through again, so that each run made ahead is kept or found to be due no more
            if cursor.at < turn.micros:
                behind = cursor.at if cursor.behind is None else cursor.behind
                cursor = msgspec.structs.replace(cursor, behind=behind, until=turn.micros)
            cursor = msgspec.structs.replace(cursor, at=turn.micros)
        plan = book.plans[job.job_id, key] = Plan(job, schedule, cursor)
        if later is not None and plan.behind is None and plan.at > turn.micros + _AHEAD:
            heappush(book.refills, (later, plan.key))
        else:
            refill(turn, plan, catching_up=False)
    for key in [key for key in known if key not in keys]:
        _drop(turn, job.job_id, key, old)


def _changed(old: Schedule | None, new: Schedule) -> bool:
    return old is None or not old.enabled or old.definition != new.definition


def _leave(turn: Turn, old: Job | None, key: str, cursor: CursorRow | None) -> None:
    """Record the due times that a schedule still owes which is no more, or is another one now."""
    for schedule in old.schedules if old is not None and cursor is not None else ():
        if old is not None and cursor is not None and schedule.key == key and schedule.enabled:
            leave(turn, old, schedule, cursor, "its schedule has changed since")


def _drop(turn: Turn, job_id: str, key: str, old: Job | None) -> None:
    """Forget a schedule that is no more; should it come back, it starts from then."""
    _leave(turn, old, key, turn.book.cursors.get(job_id, {}).get(key))
    turn.book.plans.pop((job_id, key), None)
    turn.book.cursors.get(job_id, {}).pop(key, None)
    turn.effects.cursors[job_id, key] = None
