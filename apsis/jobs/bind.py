"""Binding: from a job, args and a due time to what one run carries out. What does not fit raises BindError."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from apsis.actions.action import ActionSpec
from apsis.conditions.condition import Condition
from apsis.definitions.nearest import did_you_mean
from apsis.jobs.job import Job
from apsis.jobs.params import Param
from apsis.jobs.simple_templates import fill
from apsis.jobs.sizes import check_args, check_program
from apsis.messages.dispatch import TimeoutPolicy
from apsis.messages.outputs import KeepPolicy
from apsis.programs.process import ProcessProgram
from apsis.programs.program import Program
from apsis.programs.templated import BindError, has_template
from apsis.schedules.occurrence import Occurrence
from apsis.schedules.schedule import Schedule, show_time

#: the params of a job by its id; None: there is no such job
ParamsOf = Callable[[str], Collection[str] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What one run waits for, carries out, and does afterwards; no templates are left."""

    program: Program
    conditions: list[Condition]
    #: the job's actions, then its successors (those with `if_states` success)
    actions: list[ActionSpec]


def bind_args(job: Job, schedule: Schedule, occurrence: Occurrence) -> dict[str, str]:
    """Return the args of the run that a schedule makes: offered, overridden by its own `args`, cut to `params`.

    Raises:
        BindError: a param gets no value, or one that it may not have.
    """
    merged = {**occurrence.offered, **schedule.args}
    return complete_args(job, {name: merged[name] for name in job.params if name in merged})


def complete_args(job: Job, args: Mapping[str, str]) -> dict[str, str]:
    """Return args in the order of the job's params, defaults filled in.

    Raises:
        BindError: an arg is unknown or missing, or has a value that it may not have, or they are too large.
    """
    for name in args:
        if name not in job.params:
            known = f"its params: {', '.join(job.params)}" if job.params else "it has none"
            raise BindError(
                name, f"job {job.job_id!r} has no param {name!r}{did_you_mean(name, job.params)}", hint=known
            )
    complete: dict[str, str] = {}
    for name, param in job.params.items():
        value = args.get(name, param.default)
        if value is None:
            got = f" (got: {', '.join(args)})" if args else ""
            example = " ".join(f"{param}={args.get(param, 'VALUE')}" for param in job.params)
            raise BindError(name, f"job {job.job_id!r} needs param {name!r}{got}", hint=f"e.g. {job.job_id} {example}")
        if (why := param.wrong(value)) is not None:
            raise BindError(name, why)
        complete[name] = value
    check_args(complete)
    return complete


def expand(
    job: Job,
    run_id: str,
    args: Mapping[str, str],
    schedule_time: datetime | None,
    *,
    params_of: ParamsOf | None = None,
) -> Bound:
    """Return what a run of the job carries out.

    With `params_of`, the args of conditions and actions are completed from the run's own, cut to the params of
    their job; without it they are those that are given, and the run's own.

    Raises:
        BindError: a template, an arg or the job of a condition does not fit.
    """
    binding = _Binding(job, run_id, dict(args), schedule_time, params_of)
    program = _with_job_terms(job, job.program.bind(binding.expand), binding)
    if isinstance(program, ProcessProgram):
        check_program(program)
    conditions = [each.bind(binding, f"condition[{index}]") for index, each in enumerate(job.conditions)]
    actions = [each.bind(binding, f"action[{index}]") for index, each in enumerate(job.actions)]
    successors = [each.bind(binding, f"successors[{index}]") for index, each in enumerate(job.successors)]
    return Bound(program=program, conditions=conditions, actions=[*actions, *successors])


def _with_job_terms(job: Job, program: Program, binding: "_Binding") -> Program:
    """Return the program with the job's own `timeout` and `output`, which hold where the program says nothing."""
    if not isinstance(program, ProcessProgram):
        return program
    if job.timeout is not None and program.timeout is None:
        timeout: TimeoutPolicy = job.timeout.bind(binding.expand, "timeout")
        program = replace(program, timeout=timeout)
    output = job.output
    keep = None if output.keep is None else KeepPolicy(**asdict(output.keep))
    return replace(program, streams=output.streams or "merged", max_bytes=output.max_bytes, keep=keep)


@dataclass(slots=True)
class _Binding:
    """The run that is bound."""

    job: Job
    run_id: str
    args: dict[str, str]
    schedule_time: datetime | None
    params_of: ParamsOf | None

    @property
    def job_id(self) -> str:
        return self.job.job_id

    def expand(self, value: str, key: str) -> str:
        if not has_template(value):
            return value.removesuffix("\n")
        if (filled := fill(value, self._values())) is not None:
            return filled
        # the template engine costs memory and 50 ms: only jobs with templates pay for it
        from apsis.jobs.templates import Names, expand_text

        names = Names(
            args=self.args,
            run_id=self.run_id,
            job_id=self.job.job_id,
            schedule_time=self.schedule_time,
            calendars=self.job.calendars,
        )
        return expand_text(value, key, names)

    def _values(self) -> dict[str, str]:
        """Return the texts that templates may name, as `expand_text` knows them."""
        due = {} if self.schedule_time is None else {"schedule_time": show_time(self.schedule_time)}
        return {**due, **self.args, "run_id": self.run_id, "job_id": self.job.job_id}

    def target_args(self, job_id: str, given: dict[str, str], key: str) -> dict[str, str]:
        if job_id == self.job.job_id:
            params: Collection[str] | None = self.job.params
        elif self.params_of is None:
            return {**self.args, **given}
        else:
            params = self.params_of(job_id)
        if params is None:
            raise BindError(f"{key}.job_id", f"there is no job {job_id!r}")
        for name in given:
            if name not in params:
                raise BindError(
                    f"{key}.args.{name}", f"job {job_id!r} has no param {name!r}{did_you_mean(name, params)}"
                )
        full: dict[str, str] = {}
        for name in params:
            if name in given:
                full[name] = given[name]
            elif name in self.args:
                full[name] = self.args[name]
            elif (value := _default(params, name)) is not None:
                full[name] = value
            else:
                raise BindError(f"{key}.args", f"job {job_id!r} needs {name!r}, which this run does not have")
        return full


def _default(params: Collection[str], name: str) -> str | None:
    param = params[name] if isinstance(params, Mapping) else None
    return param.default if isinstance(param, Param) else None
