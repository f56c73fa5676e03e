"""Holding a job, or everything, and letting it go on. What was due meanwhile is on record, and does not run."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from apsis.errors import BadRequest, Conflict, NotFound
from apsis.jobs.job import Job
from apsis.jobs.parse import job_json
from apsis.messages.requests import PauseJobs, ResumeJobs
from apsis.runs.core.book import Book
from apsis.runs.core.plans import Plan
from apsis.runs.core.rows import JobRow, Pause, RunRow
from apsis.runs.core.turn import Turn
from apsis.runs.core.waiting import ForPause

#: characters of a reason
REASON_AT_MOST: Final = 1000


def pause(turn: Turn, deed: PauseJobs, actor: str) -> dict[str, Any]:
    """Hold a job, or everything, from now on; return who holds what.

    Raises:
        NotFound: there is no such job.
        Conflict: it is paused already.
        BadRequest: the reason is too long.
    """
    book, key = turn.book, _key(deed)
    if key and key not in book.jobs:
        raise NotFound(f"there is no job {key!r}", hint="`apsis jobs` lists them", loc="job_id")
    if (known := book.pauses.get(key)) is not None:
        raise Conflict(f"{known.says(key)}: there is nothing to pause", hint="resume it first")
    book.pauses[key] = Pause(by=actor, at=turn.at, reason=_reason(deed.reason))
    _tell(turn, key, "paused", actor, deed.reason)
    for plan in list(_plans(book, key)):
        plan.hold(turn.micros)
        keep(turn, plan)
    return _shown(book, key)


def resume(turn: Turn, deed: ResumeJobs, actor: str) -> dict[str, Any]:
    """Let a job, or everything, go on from now; return what holds it still.

    Raises:
        Conflict: it is not paused.
        BadRequest: the reason is too long.
    """
    book, key = turn.book, _key(deed)
    known = book.pauses.get(key)
    if known is None:
        other = book.pause_of(key)
        hint = f"{other[1].says('')}; resume everything" if other else "`apsis jobs` shows what is"
        raise Conflict(f"{f'job {key!r}' if key else 'the installation'} is not paused", hint=hint)
    del book.pauses[key]
    _tell(turn, key, "resumed", actor, _reason(deed.reason))
    for plan in list(_plans(book, key)):
        if book.pause_of(plan.job.job_id) is None:
            plan.let_go(turn.micros, f"{known.says(key)}; resumed by {actor} at {turn.at}")
            keep(turn, plan)
            book.short[plan.key] = None
    book.agenda.extend(book.waiting.all_of(ForPause(key)))
    return _shown(book, key)


def holds(book: Book, row: RunRow) -> str:
    """Return why a run that is to start now must not, or "": its job is paused, and no person has asked for it."""
    run = row.run
    if row.facts.forced or not (run.expected or run.retry_of or row.facts.automatic):
        return ""
    found = book.pause_of(run.job_id)
    return found[1].says(found[0]) if found else ""


def job_doc(book: Book, job: Job) -> dict[str, Any]:
    """Return a job as REST shows it, with who holds it."""
    known = book.pauses.get(job.job_id)
    return {**job_json(job), "paused": msgspec.to_builtins(known) if known else None}


def keep(turn: Turn, plan: Plan) -> None:
    """Write down how far a plan has come."""
    turn.book.cursors.setdefault(plan.job.job_id, {})[plan.key[1]] = plan.row
    turn.effects.cursors[plan.key] = plan.row


def _key(deed: PauseJobs | ResumeJobs) -> str:
    if deed.job_id == "":
        raise BadRequest("job_id is empty", hint="leave it out for everything", loc="job_id")
    return deed.job_id or ""


def _reason(text: str) -> str:
    if len(text) > REASON_AT_MOST:
        raise BadRequest(
            f"the reason has {len(text)} characters; at most {REASON_AT_MOST}", hint="name a ticket", loc="reason"
        )
    return " ".join(text.split())


def _plans(book: Book, key: str) -> Iterator[Plan]:
    if not key:
        yield from book.plans.values()
        return
    for schedule in book.cursors.get(key, {}):
        plan = book.plans.get((key, schedule))
        if plan is not None:
            yield plan


def _tell(turn: Turn, key: str, what: str, actor: str, reason: str) -> None:
    book = turn.book
    turn.effects.meta["pauses"] = msgspec.json.encode(book.pauses).decode()
    if not key:
        turn.sys_event(what, actor, reason=reason)
        return
    job = book.jobs.get(key)
    doc = job_doc(book, job) if job else None
    if job is not None and doc is not None:
        turn.effects.jobs[key] = JobRow(key, job.version, doc)
    turn.job_event(key, what, actor, doc)


def _shown(book: Book, key: str) -> dict[str, Any]:
    known = book.pause_of(key)
    by = {"job_id": known[0] or None, **msgspec.to_builtins(known[1])} if known else None
    return {"job_id": key or None, "paused": by}
