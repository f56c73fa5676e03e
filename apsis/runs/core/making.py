"""Making runs, and binding them: from a job, args and a due time to a row that can be started."""

from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from apsis.actions import ScheduleAction
from apsis.errors import ApsisError
from apsis.jobs.bind import Bound, complete_args, expand
from apsis.jobs.job import Job
from apsis.programs.process import ProcessProgram
from apsis.programs.templated import BindError
from apsis.runs.core.alarms import limits
from apsis.runs.core.rows import Facts, RunRow, args_key
from apsis.runs.core.turn import SCHEDULER, Turn
from apsis.runs.run import Run
from apsis.runs.states import State
from apsis.times import format_time, parse_time

#: where a program without a host runs
HERE = "local"


def new_row(
    turn: Turn,
    job: Job,
    args: Mapping[str, str],
    due: datetime | None,
    *,
    schedule: str | None = None,
    stop: datetime | None = None,
    rerun_of: str | None = None,
    retry_of: str | None = None,
    attempt: int = 0,
    not_before: datetime | None = None,
    automatic: bool = False,
) -> RunRow:
    """Return a run that is in state `new` and written nowhere yet. With `schedule` it was made by that one."""
    book = turn.book
    book.last_run += 1
    turn.effects.meta["last_run"] = str(book.last_run)
    run = Run(
        run_id=f"r{book.last_run}",
        job_id=job.job_id,
        args=dict(args),
        state=State.NEW,
        schedule_time=format_time(due) if due else None,
        stop_time=format_time(stop) if stop else None,
        labels=job.labels,
        expected=schedule is not None,
        job_version=job.version,
        rerun_of=rerun_of,
        retry_of=retry_of,
        attempt=attempt,
        not_before=format_time(not_before) if not_before else None,
        journal=book.journal,
    )
    return RunRow(
        book.last_run,
        args_key(run.args),
        run,
        Facts(schedule=schedule, late_after=_late_after(job, schedule), request=turn.request, automatic=automatic),
    )


def expand_run(turn: Turn, job: Job, run: Run) -> Bound:
    """Return what a run carries out, as this version of its job says.

    Raises:
        BindError: it does not fit.
    """
    complete_args(job, run.args)
    due = parse_time(run.schedule_time) if run.schedule_time else None
    return expand(job, run.run_id, run.args, due, params_of=turn.book.params_of)


def bind(turn: Turn, row: RunRow) -> RunRow | None:
    """Fix what a run that leaves `scheduled` carries out; None: it does not fit, and has ended in error."""
    job = _job_of(turn, row)
    if job is None:
        turn.move(row, State.ERROR, f"the definition of {row.run.job_id} that it was made from is not known")
        return None
    try:
        bound = expand_run(turn, job, row.run)
    except BindError as error:
        # whoever is to be told of an end is told of this one too
        told = [action.to_json() for action in job.actions if action.type != ScheduleAction.type]
        turn.move(row, State.ERROR, reason_of(error), job_version=job.version, actions=told)
        return None
    least, most = limits(turn, job)
    facts = replace(
        row.facts,
        late_after=_late_after(job, row.facts.schedule),
        least=least,
        most=most,
        max_wait=job.max_wait if job.max_wait is not None else turn.book.settings.waiting_max,
        priority=job.priority,
        resources={name: count for name, count in job.resources.items() if count},
    )
    program = bound.program
    host = None
    if isinstance(program, ProcessProgram):
        host = program.host or HERE
        facts = replace(
            facts,
            process=program.to_process(max_bytes=turn.book.settings.max_bytes),
            success_codes=program.success_exit_codes,
            error_codes=program.error_exit_codes,
            own_signal=program.stop.signal,
            own_grace=program.stop.grace,
        )
    run = replace(
        row.run,
        program=program.to_json(),
        conditions=[condition.to_json() for condition in bound.conditions],
        actions=[action.to_json() for action in bound.actions],
        host=host,
        job_version=job.version,
    )
    return RunRow(row.num, row.args_key, run, facts, row.log)


def schedule_run(turn: Turn, row: RunRow, *, actor: str = SCHEDULER, reason: str = "") -> RunRow:
    """Let a new run wait for its time; what will not bind then is said now."""
    job = _job_of(turn, row)
    if job is not None:
        try:
            expand_run(turn, job, row.run)
        except BindError as error:
            reason = f"will not run: {reason_of(error)}"
    return turn.move(row, State.SCHEDULED, reason, actor=actor)


def _late_after(job: Job, key: str | None) -> float:
    """Return the seconds after which a run is late: its schedule's word goes before that of the job."""
    for schedule in job.schedules if key is not None else ():
        if schedule.terms.late_after is not None and schedule.key == key:
            return schedule.terms.late_after
    return job.late_after


def reason_of(error: ApsisError) -> str:
    """Return an error as the reason of a run."""
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _job_of(turn: Turn, row: RunRow) -> Job | None:
    """Return the job as of now for a run that waited for its time, else the version that it was made from."""
    current = turn.book.jobs.get(row.run.job_id)
    if row.run.state is State.SCHEDULED and current is not None:
        return current
    if current is not None and current.version == row.run.job_version:
        return current
    return turn.book.version(row.run.job_version, row.run.job_id)
