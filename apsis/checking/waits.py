"""Waits: whether the runs that scheduled runs will wait for are scheduled themselves, or wait for each other."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from apsis.checking.facts import Facts, Need
from apsis.checking.links import MAKES, Fault, circles
from apsis.conditions.dependency import Dependency, DependencySpec
from apsis.definitions.finding import WARNING, Path
from apsis.errors import ApsisError
from apsis.jobs.bind import bind_args, expand
from apsis.jobs.job import Job
from apsis.programs.noop import NoOpSpec

#: how far back a run may lie that a scheduled one waits for: a month's, or a year's, was made long ago
_BACK: Final = timedelta(days=400)
#: due times of one schedule that are looked through for the run that is waited for
_MOST: Final = 50_000
#: runs that are followed in search of a circle
_FOLLOWED: Final = 500

#: a job and the args of a run of it
Node = tuple[str, tuple[tuple[str, str], ...]]


def needs_of(job: Job, runs: list[tuple[datetime, dict[str, str]]]) -> tuple[Need, ...]:
    """Return the runs of other jobs that some runs will wait for; what cannot be bound is told elsewhere."""
    found: dict[tuple[Path, str], Need] = {}
    listed = isinstance(job.definition.get("condition"), list)
    for index, condition in enumerate(job.conditions):
        if not isinstance(condition, DependencySpec):
            continue
        path: Path = ("condition", index) if listed else ("condition",)
        for due, own in runs:
            for args in _bound(job, condition, own, due):
                need = Need(path=path, job_id=condition.job_id, args=args, time=due, own=own)
                found.setdefault((path, repr(sorted(args.items()))), need)
    return tuple(found.values())


def _bound(job: Job, condition: DependencySpec, own: dict[str, str], due: datetime | None) -> Iterator[dict[str, str]]:
    bare = replace(job, program=NoOpSpec(), conditions=(condition,), actions=(), successors=(), timeout=None)
    try:
        bound = expand(bare, "r0", own, due)
    except ApsisError:
        return
    yield from (each.args for each in bound.conditions if isinstance(each, Dependency))


@dataclass(slots=True)
class Waits:
    """The runs of a whole directory, and who waits for whom."""

    facts: Mapping[str, Facts]
    job_of: Callable[[str], Job | None]
    now: datetime
    horizon: timedelta
    #: jobs of which another job's end makes runs
    _made: frozenset[str] = frozenset()
    _near: dict[str, set[Node]] = field(default_factory=dict)
    _wide: dict[str, set[Node]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._made = frozenset(t.job_id for job in self.facts.values() for t in job.targets if t.kind == MAKES)

    @property
    def _end(self) -> datetime:
        """Up to when a run may be due that one within the horizon waits for."""
        return self.now + 2 * self.horizon

    def check(self) -> Iterator[Fault]:
        """Yield a warning for each dependency that is not scheduled, and an error for each circle of waiting runs."""
        for job in self.facts.values():
            yield from self._unscheduled(job)
        edges = {
            job.job_id: [t.job_id for t in job.targets if t.kind == Dependency.type and t.job_id in self.facts]
            for job in self.facts.values()
        }
        for circle in circles(edges):
            yield from self._circle(circle)

    def _unscheduled(self, job: Facts) -> Iterator[Fault]:
        missing: dict[Path, list[tuple[Need, dict[str, str]]]] = {}
        for need in job.needs:
            other = self.facts.get(need.job_id)
            args = None if other is None else _cut(other, need.args)
            if other is None or args is None or other.job_id in self._made:
                continue
            if not self._is_scheduled(other, args, need.time):
                missing.setdefault(need.path, []).append((need, args))
        for path, needs in missing.items():
            need, args = needs[0]
            message = f"condition: {self._sentence(job, need, args, len(needs))}"
            yield Fault(job_id=job.job_id, path=path, message=message, code="not_scheduled", severity=WARNING)

    def _sentence(self, job: Facts, need: Need, args: dict[str, str], count: int) -> str:
        run = f"the run due at {need.time:%Y-%m-%dT%H:%M:%SZ}"
        if not self.facts[need.job_id].scheduled:
            return f"{run} waits for {need.job_id!r}, which has no schedule, and which no other job's end makes"
        more = f" (and so do {count - 1} more of the runs until then)" if count > 1 else ""
        until = self._end
        return f"{run} waits for {_text(_node(need.job_id, args))}, of which no run is due until {until:%Y-%m-%d}{more}"

    def _is_scheduled(self, other: Facts, args: dict[str, str], time: datetime) -> bool:
        node = _node(other.job_id, args)
        if other.job_id not in self._near:
            self._near[other.job_id] = {_node(other.job_id, each) for each in other.runs}
        if node in self._near[other.job_id]:
            return True
        if other.job_id not in self._wide:
            job = self.job_of(other.job_id)
            self._wide[other.job_id] = set() if job is None else set(self._runs_of(job))
        return node in self._wide[other.job_id]

    def _runs_of(self, job: Job) -> Iterator[Node]:
        """Yield the runs of a job from long ago to the horizon."""
        for schedule in job.schedules:
            if not schedule.enabled:
                continue
            for occurrence in islice(schedule.occurrences(self.now - _BACK), _MOST):
                if occurrence.time > self._end:
                    break
                try:
                    yield _node(job.job_id, bind_args(job, schedule, occurrence))
                except ApsisError:
                    break

    def _circle(self, jobs: list[str]) -> Iterator[Fault]:
        """Yield an error if runs of these jobs wait for each other, and not only for each other's earlier ones."""
        for job_id in jobs:
            start = _node(job_id, self._some_args(self.facts[job_id]))
            found = self._follow(start, frozenset(jobs))
            if found is None:
                continue
            first, following = self.facts[found[0][0]], found[1 % len(found)][0]
            path = next(
                each.path for each in first.targets if each.kind == Dependency.type and each.job_id == following
            )
            shown = " -> ".join(_text(node) for node in (*found, found[0]))
            message = f"condition: these runs wait for each other, so none of them ever starts: {shown}"
            yield Fault(job_id=first.job_id, path=path, message=message, code="cycle")
            return

    def _some_args(self, job: Facts) -> dict[str, str]:
        if job.runs:
            return job.runs[0]
        return {name: param.default or (param.choices or (f"<{name}>",))[0] for name, param in job.params.items()}

    def _follow(self, start: Node, within: frozenset[str]) -> list[Node] | None:
        """Return the runs of a circle that is reached from a run, or None."""
        way: list[tuple[Node, Iterator[Node]]] = [(start, self._waited_for(start, within))]
        on_way, seen = {start}, {start}
        while way and len(seen) < _FOLLOWED:
            node = next(way[-1][1], None)
            if node is None:
                on_way.discard(way.pop()[0])
            elif node in on_way:
                nodes = [each for each, _ in way]
                return nodes[nodes.index(node) :]
            elif node not in seen:
                seen.add(node)
                on_way.add(node)
                way.append((node, self._waited_for(node, within)))
        return None

    def _waited_for(self, node: Node, within: frozenset[str]) -> Iterator[Node]:
        job = self.job_of(node[0])
        if job is None:
            return
        for condition in job.conditions:
            if isinstance(condition, DependencySpec) and condition.job_id in within:
                for given in _bound(job, condition, dict(node[1]), self.now):
                    args = _cut(self.facts[condition.job_id], given)
                    if args is not None:
                        yield _node(condition.job_id, args)


def _cut(job: Facts, args: Mapping[str, str]) -> dict[str, str] | None:
    """Return args cut to a job's params and completed by its defaults; None where one is missing."""
    found = {}
    for name, param in job.params.items():
        value = args.get(name, param.default)
        if value is None:
            return None
        found[name] = value
    return found


def _node(job_id: str, args: Mapping[str, str]) -> Node:
    return job_id, tuple(sorted(args.items()))


def _text(node: Node) -> str:
    args = ", ".join(f"{name}={value}" for name, value in node[1])
    return f"{node[0]}({args})" if args else node[0]
