"""Links: the jobs that conditions, actions and successors name exist, their args fit, and they lead in no circle."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from apsis.checking.facts import Facts, Target
from apsis.definitions.finding import ERROR, WARNING, Path
from apsis.definitions.nearest import did_you_mean
from apsis.programs.templated import has_template

#: what makes runs of the job that it names; the others wait for it
MAKES = "schedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something wrong between jobs, with its place in one of them."""

    job_id: str
    path: Path
    message: str
    code: str
    severity: str = ERROR


def check_links(facts: Mapping[str, Facts], broken: frozenset[str]) -> Iterator[Fault]:
    """Yield a fault for each target that is not there or that does not fit; `broken` are jobs that did not load."""
    for job in facts.values():
        for target in job.targets:
            other = facts.get(target.job_id)
            if other is not None:
                yield from _args(job, target, other)
            elif target.job_id not in broken:
                near = did_you_mean(target.job_id, facts)
                message = f"job_id: there is no job {target.job_id!r}{near}"
                yield Fault(job_id=job.job_id, path=(*target.path, "job_id"), message=message, code="no_such_job")


def _args(job: Facts, target: Target, other: Facts) -> Iterator[Fault]:
    for name, value in target.args.items():
        path = (*target.path, "args", name)
        if name not in other.params:
            takes = f"it takes {', '.join(other.params)}" if other.params else "it takes none"
            message = f"args: job {other.job_id!r} has no param {name!r}{did_you_mean(name, other.params)}; {takes}"
            yield Fault(job_id=job.job_id, path=path, message=message, code="args")
        elif not has_template(value) and (why := other.params[name].wrong(value)) is not None:
            yield Fault(job_id=job.job_id, path=path, message=f"args: {name}: {why}", code="args")
    if target.any_args:
        return
    missing = [
        name
        for name, param in other.params.items()
        if name not in target.args and name not in job.params and param.default is None
    ]
    if missing:
        message = (
            f"{target.path[0]}: job {other.job_id!r} needs {', '.join(missing)}, which"
            f" {'is' if len(missing) == 1 else 'are'} neither given here nor a param of this job"
        )
        yield Fault(job_id=job.job_id, path=target.path, message=message, code="args")


def check_chains(facts: Mapping[str, Facts]) -> Iterator[Fault]:
    """Yield a warning for each circle of actions in which the end of a run makes the next one, without end."""
    makes = {
        job.job_id: [target.job_id for target in job.targets if target.kind == MAKES and target.job_id in facts]
        for job in facts.values()
    }
    for circle in circles(makes):
        first = facts[circle[0]]
        following = circle[1] if len(circle) > 1 else circle[0]
        path = next(each.path for each in first.targets if each.kind == MAKES and each.job_id == following)
        shown = " -> ".join((*circle, circle[0]))
        message = f"{path[0]}: these jobs start each other without end: {shown}"
        yield Fault(job_id=first.job_id, path=path, message=message, code="endless", severity=WARNING)


def circles(edges: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """Yield one circle for each group of nodes that lead to each other, beginning at its least node."""
    for group in _groups(edges):
        if len(group) > 1 or group[0] in edges[group[0]]:
            yield _shortest(min(group), edges, frozenset(group))


def _shortest(start: str, edges: Mapping[str, list[str]], group: frozenset[str]) -> list[str]:
    """Return the shortest way from a node back to it, within its group."""
    came: dict[str, str] = {}
    waiting = [start]
    for node in waiting:
        for follower in edges[node]:
            if follower == start:
                way = [node]
                while way[-1] != start:
                    way.append(came[way[-1]])
                return way[::-1]
            if follower in group and follower not in came:
                came[follower] = node
                waiting.append(follower)
    return [start]


def _groups(edges: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """Yield the strongly connected groups (Tarjan's way, without recursion: chains of jobs can be long)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    held: list[str] = []
    inside: set[str] = set()
    for root in edges:
        if root in order:
            continue
        work = [(root, iter(edges[root]))]
        order[root] = low[root] = len(order)
        held.append(root)
        inside.add(root)
        while work:
            node, followers = work[-1]
            follower = next(followers, None)
            if follower is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    group = [held.pop()]
                    while group[-1] != node:
                        group.append(held.pop())
                    inside.difference_update(group)
                    yield group
            elif follower not in order:
                order[follower] = low[follower] = len(order)
                held.append(follower)
                inside.add(follower)
                work.append((follower, iter(edges[follower])))
            elif follower in inside:
                low[node] = min(low[node], order[follower])
