"""What people ask for: making runs, and acting on them. Each request is done once, whatever comes again."""

import hashlib
from typing import Any

import msgspec

from apsis.errors import ApsisError, BadRequest, NotFound
from apsis.jobs.bind import complete_args
from apsis.jobs.job import Job, JobError
from apsis.messages.body import decode, encode
from apsis.messages.requests import ActOnRun, CreateAdHoc, CreateRun, Done, Failed, PauseJobs, ReloadJobs, ResumeJobs
from apsis.programs.templated import BindError
from apsis.runs.core.acts import act
from apsis.runs.core.changes import Reload
from apsis.runs.core.effects import Reply
from apsis.runs.core.inputs import Asked
from apsis.runs.core.making import expand_run, new_row, schedule_run
from apsis.runs.core.pauses import pause, resume
from apsis.runs.core.rows import RequestRow, RunRow
from apsis.runs.core.starts import consider
from apsis.runs.core.turn import Turn
from apsis.runs.run import Run
from apsis.runs.states import State
from apsis.times import parse_time, to_micros

#: runs made by one request
COUNT_AT_MOST = 1000
#: bytes of args of one run, names and values
ARGS_AT_MOST = 65_536


def do(turn: Turn, asked: Asked) -> None:
    """Do what is asked, or repeat the answer that it got before."""
    if repeated(turn, asked):
        return
    turn.request = (asked.request.request_id, _hash(asked)) if asked.request.request_id else None
    try:
        result = _do(turn, asked)
    except JobError as error:
        findings = [msgspec.to_builtins(finding) for finding in error.findings]
        failed = Failed(code=error.code, message=error.message, hint=error.hint, loc=error.loc, findings=findings)
        _reply(turn, asked, failed)
    except ApsisError as error:
        code = "bad_request" if isinstance(error, BindError) else error.code
        _reply(turn, asked, Failed(code=code, message=error.message, hint=error.hint, loc=error.loc))
    else:
        _done(turn, asked, result)
    finally:
        turn.request = None


def remember(turn: Turn, row: RunRow) -> None:
    """Keep the answer to the request that asked for a run which a host has told of: asked again, it runs nothing."""
    if row.facts.request is None:
        return
    request_id, body_hash = row.facts.request
    known = _known(turn, request_id)
    if known is not None and known[0] != body_hash:
        return
    if row.run.rerun_of is not None:
        result: dict[str, Any] = {"run": _shown(turn, row)}
    else:
        told = known[1].result.get("runs", []) if known is not None else []
        result = {"runs": [*(run for run in told if run["run_id"] != row.run.run_id), _shown(turn, row)]}
    _keep_answer(turn, request_id, body_hash, Done(seq=turn.book.head, result=result))


def repeated(turn: Turn, asked: Asked) -> bool:
    """Answer a request that was done before, and say whether it was."""
    known = _known(turn, asked.request.request_id)
    if known is not None:
        old_hash, done = known
        _reply(turn, asked, done if old_hash == _hash(asked) else _other_body(asked.request.request_id))
    return known is not None


def answer_reload(turn: Turn, asked: Asked, reload: Reload) -> None:
    """Answer a reload that was carried out, foreseen, or held."""
    held = reload.difference.held
    rehearsed = isinstance(asked.request.do, ReloadJobs) and asked.request.do.dry_run
    if held and (reload.loaded.unreadable or not rehearsed):
        hint = "look at the job directory; if that is meant, reload with force"
        _reply(
            turn,
            asked,
            Failed(code="conflict", message=f"the reload is held: {held}; the jobs are as before", hint=hint),
        )
    else:
        _done(turn, asked, reload.result())


def answer(turn: Turn, asked: Asked, result: dict[str, Any]) -> None:
    """Answer a request whose effect is in this turn, now and whenever it comes again."""
    _done(turn, asked, result)


def _hash(asked: Asked) -> str:
    return hashlib.sha256(encode(asked.request.do)).hexdigest()


def _known(turn: Turn, request_id: str) -> tuple[str, Done] | None:
    fresh = turn.book.fresh_answers.get(request_id)
    if fresh is not None:
        return fresh
    stored = turn.book.archive.answer(request_id)
    return (stored[0], decode(Done, stored[1])) if stored else None


def _other_body(request_id: str) -> Failed:
    return Failed(
        code="conflict",
        message=f"request {request_id} was made before, and asked for something else",
        hint="use a new Idempotency-Key for a new request",
    )


def _reply(turn: Turn, asked: Asked, body: Done | Failed) -> None:
    turn.effects.replies.append(Reply(asked.token, body))


def _done(turn: Turn, asked: Asked, result: dict[str, Any]) -> None:
    body_hash = _hash(asked)
    done = Done(seq=turn.book.head, result=result)
    request_id = asked.request.request_id
    if request_id:
        _keep_answer(turn, request_id, body_hash, done)
    _reply(turn, asked, done)


def _keep_answer(turn: Turn, request_id: str, body_hash: str, done: Done) -> None:
    turn.book.fresh_answers[request_id] = (body_hash, done)
    turn.effects.requests.append(RequestRow(request_id, body_hash, turn.micros, encode(done)))


def _do(turn: Turn, asked: Asked) -> dict[str, Any]:
    request = asked.request
    deed = request.do
    if isinstance(deed, ActOnRun):
        return act(turn, deed, request.actor)
    if isinstance(deed, PauseJobs):
        return pause(turn, deed, request.actor)
    if isinstance(deed, ResumeJobs):
        return resume(turn, deed, request.actor)
    if isinstance(deed, CreateRun):
        job = turn.book.jobs.get(deed.job_id)
        if job is None:
            raise NotFound(f"there is no job {deed.job_id!r}", hint="`apsis jobs` lists them", loc="job_id")
        return _create(turn, job, deed, request.actor)
    if isinstance(deed, CreateAdHoc):
        return _create(turn, _ad_hoc(turn, deed), deed, request.actor)
    raise BadRequest(f"the scheduler cannot do {type(deed).__name__}")


def _ad_hoc(turn: Turn, deed: CreateAdHoc) -> Job:
    """Return the job that is given in full; its id names its content, so that the same job is the same again."""
    text = encode(dict(sorted(deed.job.items())))
    job_id = f"ad hoc/{hashlib.sha256(text).hexdigest()[:12]}"
    job = turn.book.parse(job_id, {key: value for key, value in deed.job.items() if key not in {"job_id", "schedule"}})
    if not deed.dry_run:
        turn.book.keep_version(job)
        turn.effects.versions[job.version] = (job_id, job.definition)
    return job


def _create(turn: Turn, job: Job, deed: CreateRun | CreateAdHoc, actor: str) -> dict[str, Any]:
    if not 1 <= deed.count <= COUNT_AT_MOST:
        raise BadRequest(f"count is {deed.count}; from 1 to {COUNT_AT_MOST} runs can be made at once", loc="count")
    args = complete_args(job, deed.args)
    if sum(len(name.encode()) + len(value.encode()) for name, value in args.items()) > ARGS_AT_MOST:
        raise BadRequest(f"the args have more than {ARGS_AT_MOST} bytes", hint="pass a file's name", loc="args")
    due = _time(deed.schedule_time, "schedule_time")
    stop = _time(deed.stop_time, "stop_time")
    if deed.dry_run:
        return _rehearse(turn, job, Run(run_id="r0", job_id=job.job_id, args=args, state=State.NEW))
    runs = []
    for _ in range(deed.count):
        row = new_row(turn, job, args, due, stop=stop)
        if due is not None and to_micros(due) > turn.micros:
            schedule_run(turn, row, actor=actor)
        else:
            consider(turn, row, actor=actor)
        runs.append(_shown(turn, row))
    return {"runs": runs}


def _rehearse(turn: Turn, job: Job, run: Run) -> dict[str, Any]:
    bound = expand_run(turn, job, run)
    return {
        "dry_run": True,
        "job_id": job.job_id,
        "args": run.args,
        "program": bound.program.to_json(),
        "conditions": [condition.to_json() for condition in bound.conditions],
        "actions": [action.to_json() for action in bound.actions],
    }


def _time(text: str | None, loc: str) -> Any:
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        raise BadRequest(str(error), loc=loc) from None


def _shown(turn: Turn, row: RunRow) -> dict[str, Any]:
    now = turn.book.find(row.run.run_id) or row
    shown: dict[str, Any] = msgspec.to_builtins(now.run)
    return shown
