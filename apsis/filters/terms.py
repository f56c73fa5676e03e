"""The terms of a filter: each tells whether a run has it, and says the same in SQL where a column can answer.

SQL speaks of the columns of the view `v_run`. A term whose `sql` is None is answered by the run's JSON alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import Final, Protocol

from apsis.filters.facts import JobFacts, RunFacts
from apsis.filters.moments import Amount, Span
from apsis.filters.patterns import Pattern, Sql, any_of
from apsis.runs.states import ACTIVE, FINISHED, State
from apsis.times.instants import parse_time, to_micros

#: the folder that such a job's id is given in
AD_HOC: Final = "ad hoc/"
#: seconds after its due time from which a run is late
LATE_AFTER: Final = 60.0
_RUN_ID: Final = re.compile("r(0|[1-9][0-9]{0,17})", re.ASCII)
#: states in which a run has not started yet
_BEFORE_START: Final = frozenset({State.NEW, State.SCHEDULED, State.WAITING, State.STARTING})

STATE_GROUPS: Final[Mapping[str, frozenset[State]]] = MappingProxyType({
    "active": ACTIVE,
    "finished": FINISHED,
    "bad": frozenset({State.FAILURE, State.ERROR}),
})  # fmt: skip


class Term(Protocol):
    """One condition of a filter."""

    @property
    def relative(self) -> bool:
        """Whether its answer changes with the time alone."""
        ...

    def matches(self, run: RunFacts, now: datetime) -> bool:
        """Tell whether a run has it."""
        ...

    def matches_job(self, job: JobFacts) -> bool:
        """Tell whether a job has it; only terms that speak of jobs are asked."""
        ...

    def sql(self, now: datetime) -> Sql | None:
        """Return it as a condition that is never NULL, or None."""
        ...


class OfRuns:
    """A term that says nothing of jobs, and whose answer does not change with the time alone."""

    relative = False

    def matches_job(self, job: JobFacts) -> bool:
        """Never reached: the grammar refuses such a term where jobs are looked for."""
        raise TypeError(f"{type(self).__name__} does not speak of jobs")

    def sql(self, now: datetime) -> Sql | None:
        """No column answers."""
        return None


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a term."""

    term: Term

    @property
    def relative(self) -> bool:
        """As the term."""
        return self.term.relative

    def matches(self, run: RunFacts, now: datetime) -> bool:
        """Tell whether a run has not got it."""
        return not self.term.matches(run, now)

    def matches_job(self, job: JobFacts) -> bool:
        """Tell whether a job has not got it."""
        return not self.term.matches_job(job)

    def sql(self, now: datetime) -> Sql | None:
        """Return the opposite condition."""
        condition = self.term.sql(now)
        return None if condition is None else (f"NOT {condition[0]}", condition[1])


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Several values of `is:`, of which one must hold."""

    terms: tuple[Term, ...]

    @property
    def relative(self) -> bool:
        """Whether one of them is."""
        return any(term.relative for term in self.terms)

    def matches(self, run: RunFacts, now: datetime) -> bool:
        """Tell whether a run has one of them."""
        return any(term.matches(run, now) for term in self.terms)

    def matches_job(self, job: JobFacts) -> bool:
        """Tell whether a job has one of them."""
        return any(term.matches_job(job) for term in self.terms)

    def sql(self, now: datetime) -> Sql | None:
        """Return them joined by OR, if columns answer each."""
        conditions = [term.sql(now) for term in self.terms]
        known = [condition for condition in conditions if condition is not None]
        return any_of(known) if len(known) == len(conditions) else None


@dataclass(frozen=True, slots=True)
class Word(OfRuns):
    """A text in the job id or in the value of an arg; upper and lower case are the same."""

    text: str

    def matches(self, run: RunFacts, now: datetime) -> bool:
        """Tell whether it stands in the job id or in an arg's value."""
        return self.text in run.job_id.lower() or any(self.text in value.lower() for value in run.args.values())

    def matches_job(self, job: JobFacts) -> bool:
        """Tell whether it stands in the job id."""
        return self.text in job.job_id.lower()


@dataclass(frozen=True, slots=True)
class JobIs(OfRuns):
    """`job:`: a folder (with `/` at its end), a job id, or a pattern."""

    patterns: tuple[Pattern, ...]

    def _holds(self, job_id: str) -> bool:
        return any(job_id.startswith(p.text) if _is_folder(p) else p.matches(job_id) for p in self.patterns)

    def matches(self, run: RunFacts, now: datetime) -> bool:
        """Tell whether the run's job is meant."""
        return self._holds(run.job_id)

    def matches_job(self, job: JobFacts) -> bool:
        """Tell whether the job is meant."""
        return self._holds(job.job_id)

    def sql(self, now: datetime) -> Sql | None:
        """Return a range of the job index for a folder."""
        return any_of(
            [
                # "0" is the character after "/", so this is exactly what begins with the folder.
                ("(job_id >= ? AND job_id < ?)", [p.text, p.text[:-1] + "0"]) if _is_folder(p) else p.sql("job_id")
                for p in self.patterns
            ]
        )


def _is_folder(pattern: Pattern) -> bool:
    return len(pattern.parts) == 1 and pattern.text.endswith("/")


@dataclass(frozen=True, slots=True)
class StateIs(OfRuns):
    """`state:`, and the groups of `is:` that are sets of states."""

    states: frozenset[State]

    def matches(self, run: RunFacts, now: datetime) -> bool:
        """Tell whether the run is in one of the states."""
        return run.state in self.states

    def sql(self, now: datetime) -> Sql | None:
        """Return a condition on the state."""
        return f"state IN ({', '.join('?' * len(self.states))})", [str(state) for state in sorted(self.states)]


@dataclass(frozen=True, slots=True)
class IdIs(OfRuns):
    """`id:`: a run id, or a pattern."""

    patterns: tuple[Pattern, ...]

    def matches(self, run: RunFacts, now: datetime) -> bool:
        """Tell whether the run's id is meant."""
        return any(pattern.matches(run.run_id) for pattern in self.patterns)

    def sql(self, now: datetime) -> Sql | None:
        """Return a condition on the number for a whole id, which has an index; a pattern needs the id's text."""
        return any_of([_id_sql(pattern) for pattern in self.patterns])


def _id_sql(pattern: Pattern) -> Sql:
    if len(pattern.parts) > 1:
        return pattern.sql("run_id")
    is_id = _RUN_ID.fullmatch(pattern.text) is not None
    return "num = ?", [int(pattern.text[1:]) if is_id else -1]


@dataclass(frozen=True, slots=True)
class ArgHas(OfRuns):
    """`NAME=`: the run has the arg; the job has the param."""

    name: str

    def matches(self, run: RunFacts, now: datetime) -> bool:
        """Tell whether the run has the arg."""
        return self.name in run.args

    def matches_job(self, job: JobFacts) -> bool:
        """Tell whether the job has the param."""
        return self.name in job.params


@dataclass(frozen=True, slots=True)
class ArgContains(OfRuns):
    """`NAME=VAL`: the text stands in the arg's value."""

    name: str
    text: str

    def matches(self, run: RunFacts, now: datetime) -> bool:
        """Tell whether the arg's value contains the text."""
        value = run.args.get(self.name)
        return value is not None and self.text in value


@dataclass(frozen=True, slots=True)
class ArgIs(OfRuns):
    """`NAME==VAL`: the arg has this value."""

    name: str
    value: str

    def matches(self, run: RunFacts, now: datetime) -> bool:
        """Tell whether the arg has the value."""
        return run.args.get(self.name) == self.value


@dataclass(frozen=True, slots=True)
class LabelIs(OfRuns):
    """`label:`: the run or the job carries such a label."""

    patterns: tuple[Pattern, ...]

    def matches(self, run: RunFacts, now: datetime) -> bool:
        """Tell whether one of the run's labels is meant."""
        return any(pattern.matches(label) for pattern in self.patterns for label in run.labels)

    def matches_job(self, job: JobFacts) -> bool:
        """Tell whether one of the job's labels is meant."""
        return any(pattern.matches(label) for pattern in self.patterns for label in job.labels)


@dataclass(frozen=True, slots=True)
class HostIs(OfRuns):
    """`host:`: the run was given to such a host."""

    patterns: tuple[Pattern, ...]

    def matches(self, run: RunFacts, now: datetime) -> bool:
        """Tell whether the run's host is meant."""
        return run.host is not None and any(pattern.matches(run.host) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class AdHoc(OfRuns):
    """`is:adhoc`: its job was given in full with it, and never loaded."""

    def matches(self, run: RunFacts, now: datetime) -> bool:
        """Tell whether the run's job is such a one."""
        return run.job_id.startswith(AD_HOC)

    def sql(self, now: datetime) -> Sql | None:
        """Return a range of the job index."""
        return "(job_id >= ? AND job_id < ?)", [AD_HOC, AD_HOC[:-1] + "0"]


@dataclass(frozen=True, slots=True)
class Rerun(OfRuns):
    """`is:rerun`: it repeats another run."""

    def matches(self, run: RunFacts, now: datetime) -> bool:
        """Tell whether the run is a rerun."""
        return run.rerun_of is not None


@dataclass(frozen=True, slots=True)
class TimeIn(OfRuns):
    """`sched:`, `start:`, `end:`: one of the run's times lies in a span."""

    what: str
    spans: tuple[Span, ...]
    zone: tzinfo

    @property
    def relative(self) -> bool:  # type: ignore[override]  # pyright: ignore
        """Whether a span is told from now."""
        return any(span.relative for span in self.spans)

    def matches(self, run: RunFacts, now: datetime) -> bool:
        """Tell whether the run has this time, and it lies in one of the spans."""
        text = _time_of(run, self.what)
        if text is None:
            return False
        moment = parse_time(text)
        for span in self.spans:
            low, high = span.bounds(now, self.zone)
            if (low is None or low <= moment) and (high is None or moment < high):
                return True
        return False

    def sql(self, now: datetime) -> Sql | None:
        """Return a condition on the schedule time; the other times stand in the run's JSON alone."""
        if self.what != "sched":
            return None
        conditions: list[Sql] = []
        for span in self.spans:
            low, high = span.bounds(now, self.zone)
            text, params = "schedule_time IS NOT NULL", list[object]()
            if low is not None:
                text, params = text + " AND schedule_time >= ?", [*params, to_micros(low)]
            if high is not None:
                text, params = text + " AND schedule_time < ?", [*params, to_micros(high)]
            conditions.append((f"({text})", params))
        return any_of(conditions)


def _time_of(run: RunFacts, what: str) -> str | None:
    if what == "sched":
        return run.schedule_time
    times = run.timestamps
    if what == "start":
        return times.get(State.RUNNING) or times.get(State.STARTING)
    return times.get(run.state) if run.state in FINISHED else None


@dataclass(frozen=True, slots=True)
class Took(OfRuns):
    """`elapsed:`: seconds that the program ran, so far or in all."""

    amounts: tuple[Amount, ...]
    relative = True

    def matches(self, run: RunFacts, now: datetime) -> bool:
        """Tell whether the run took that long."""
        seconds = run.elapsed
        if seconds is None and run.state in (State.RUNNING, State.STOPPING):
            started = run.timestamps.get(State.RUNNING)
            seconds = (now - parse_time(started)).total_seconds() if started else None
        return seconds is not None and any(amount.holds(seconds) for amount in self.amounts)


@dataclass(frozen=True, slots=True)
class Late(OfRuns):
    """`late:`, and `is:late` (more than a minute): how long after its due time it started, or waits to start."""

    amounts: tuple[Amount, ...]
    relative = True

    def matches(self, run: RunFacts, now: datetime) -> bool:
        """Tell whether the run is that late."""
        seconds = run.late_by
        if seconds is None and run.state in _BEFORE_START and run.schedule_time is not None:
            due = parse_time(run.schedule_time)
            seconds = (now - due) / timedelta(seconds=1) if now > due else None
        return seconds is not None and any(amount.holds(seconds) for amount in self.amounts)


IS_LATE: Final = Late((Amount(low=LATE_AFTER, strict=True),))
