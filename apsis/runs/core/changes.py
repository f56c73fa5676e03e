"""Jobs that were added, changed and removed, and what that means for the runs made ahead."""

from dataclasses import dataclass
from typing import Any

import msgspec

from apsis.jobs import job_json
from apsis.jobs.job import Job
from apsis.messages.requests import Failed
from apsis.runs.core.ahead import refill
from apsis.runs.core.inputs import JobsLoaded
from apsis.runs.core.plans import Plan
from apsis.runs.core.rows import CursorRow, JobRow, RunRow
from apsis.runs.core.turn import SCHEDULER, Turn
from apsis.runs.states import State
from apsis.schedules import Schedule

#: a reload that would remove more than this many jobs, and more than a fifth, is held
REMOVE_AT_MOST = 5


@dataclass(frozen=True, slots=True)
class Difference:
    """What a reading of the job directory changes; ids, sorted."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    #: why it is not applied without `force`, or ""
    held: str

    def result(self, errors: list[dict[str, Any]]) -> dict[str, Any]:
        """Return it as REST shows it."""
        return {"added": self.added, "changed": self.changed, "removed": self.removed, "errors": errors}


def differ(turn: Turn, loaded: JobsLoaded) -> Difference:
    """Compare what was read with what is known."""
    known = turn.book.jobs
    if loaded.unreadable:
        return Difference([], [], [], f"the job directory cannot be read: {loaded.unreadable}")
    removed = sorted(known.keys() - loaded.jobs.keys() - loaded.same - loaded.broken)
    held = ""
    if not loaded.force and len(removed) > REMOVE_AT_MOST and len(removed) * 5 > len(known):
        held = f"it would remove {len(removed)} of {len(known)} jobs"
    changed = sorted(id_ for id_, job in loaded.jobs.items() if id_ in known and known[id_].version != job.version)
    return Difference(sorted(loaded.jobs.keys() - known.keys()), changed, removed, held)


def apply(turn: Turn, loaded: JobsLoaded, difference: Difference, actor: str = SCHEDULER) -> None:
    """Take the jobs over, and make, keep and withdraw runs accordingly. The first time, catch up."""
    book = turn.book
    first, book.loaded = not book.loaded, True
    if difference.held:
        book.held = difference.held
        turn.sys_event("reload_held", actor, reason=difference.held)
        turn.effects.meta["reload_held"] = difference.held
    else:
        _apply(turn, loaded, difference, actor)
    if first:
        for job in book.jobs.values():
            if (job.job_id not in difference.added and job.job_id not in difference.changed) or difference.held:
                _plan(turn, job, None)


def held_answer(difference: Difference) -> Failed:
    """Return the answer to a reload that was held."""
    return Failed(
        code="conflict",
        message=f"the reload is held: {difference.held}; the jobs are as before",
        hint="look at the job directory; if that is meant, reload with force",
    )


def _apply(turn: Turn, loaded: JobsLoaded, difference: Difference, actor: str) -> None:
    book = turn.book
    for job_id in difference.removed:
        _remove(turn, job_id, actor)
    fresh = [(job_id, "added") for job_id in difference.added] + [(id_, "changed") for id_ in difference.changed]
    # all are known before the first run is bound: conditions and successors name other jobs
    olds = {job_id: book.jobs.get(job_id) for job_id, _ in fresh}
    for job_id, event in fresh:
        _take(turn, loaded.jobs[job_id], event, actor)
    for job_id, _ in fresh:
        _replan(turn, loaded.jobs[job_id], olds[job_id])
    if loaded.errors != book.errors:
        book.errors = loaded.errors
        turn.effects.meta["job_errors"] = msgspec.json.encode(loaded.errors).decode()
    if book.held:
        book.held = turn.effects.meta["reload_held"] = ""
    if fresh or difference.removed or loaded.asked:
        turn.sys_event(
            "reloaded",
            actor,
            added=len(difference.added),
            changed=len(difference.changed),
            removed=len(difference.removed),
            errors=len(loaded.errors),
        )


def _take(turn: Turn, job: Job, event: str, actor: str) -> None:
    book = turn.book
    doc = job_json(job)
    book.jobs[job.job_id] = job
    book.keep_version(job)
    turn.effects.versions[job.version] = (job.job_id, job.definition)
    turn.effects.jobs[job.job_id] = JobRow(job.job_id, job.version, doc)
    turn.job_event(job.job_id, event, actor, doc)


def _remove(turn: Turn, job_id: str, actor: str) -> None:
    book = turn.book
    del book.jobs[job_id]
    for row in _expected(turn, job_id):
        turn.withdraw(row, "its job was removed")
    for key in list(book.cursors.get(job_id, ())):
        _drop(turn, job_id, key)
    turn.effects.jobs[job_id] = None
    turn.job_event(job_id, "removed", actor, None)


def _replan(turn: Turn, job: Job, old: Job | None) -> None:
    """Make the runs of a new or changed job from now on; keep those that are still due, withdraw the others."""
    book = turn.book
    for row in _expected(turn, job.job_id) if old else ():
        book.set_aside(row)
    _plan(turn, job, old)
    for row in list(book.aside.values()):
        book.take_back(row.run.run_id)
        turn.withdraw(book.rows[row.run.run_id], "due no more: its job has changed")


def _plan(turn: Turn, job: Job, old: Job | None) -> None:
    """Give each schedule of a job a plan: a known one goes on from its cursor, a new or changed one from now."""
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
            cursor = CursorRow(job_id=job.job_id, key=key, at=turn.micros)
        elif same is not None:
            # what lies ahead is walked through again, so that each run made ahead is kept or found to be due no more
            if cursor.at < turn.micros:
                behind = cursor.at if cursor.behind is None else cursor.behind
                cursor = msgspec.structs.replace(cursor, behind=behind, until=turn.micros)
            cursor = msgspec.structs.replace(cursor, at=turn.micros)
        plan = book.plans[job.job_id, key] = Plan(job, schedule, cursor)
        refill(turn, plan)
    for key in [key for key in known if key not in keys]:
        _drop(turn, job.job_id, key)


def _changed(old: Schedule | None, new: Schedule) -> bool:
    return old is None or not old.enabled or old.definition != new.definition


def _drop(turn: Turn, job_id: str, key: str) -> None:
    """Forget a schedule that is no more; should it come back, it starts from then."""
    turn.book.plans.pop((job_id, key), None)
    turn.book.cursors.get(job_id, {}).pop(key, None)
    turn.effects.cursors[job_id, key] = None


def _expected(turn: Turn, job_id: str) -> list[RunRow]:
    """Return the runs of a job that schedules have made and whose time has not come."""
    runs = turn.book.made.get(job_id, {}).items()
    rows = [turn.book.rows[run_id] for (due, _), run_id in runs if due > turn.micros]
    return sorted((row for row in rows if row.run.state is State.SCHEDULED), key=lambda row: row.num)
