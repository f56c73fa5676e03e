"""Jobs that change: what is seen of it, what would become of their runs, what does, and what people are told."""

import copy
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs_stage import BEGIN, SHELL, World

from apsis.definitions.compared import paths
from apsis.definitions.plain import canonical
from apsis.jobs.job import JobError
from apsis.jobs.parse import parse_job
from apsis.messages.requests import Done, Failed, ReloadJobs, Request
from apsis.runs.core.changes import SLICE
from apsis.runs.core.difference import changed_keys, is_other
from apsis.runs.core.inputs import Asked, JobsLoaded, Tick
from apsis.runs.states import State
from apsis.times import format_time

NO_OP = {"type": "no-op"}
RICH: dict[str, Any] = {
    "params": {"date": {}, "region": {"default": "eu", "choices": ["eu", "us", "asia"], "description": "where"}},
    "schedule": [
        {
            "type": "daily", "name": "one", "tz": "Europe/London", "daytime": ["10:30:00", "12:00:00"],
            "calendar": "Mon-Fri", "date_shift": 1, "cal_shift": 2, "time_shift": 60, "args": {"region": "eu"},
            "enabled": True, "dst": "once", "catch_up": "all", "max_age": 60, "start_date": "2026-01-01",
            "end_date": "2030-01-01", "except": "Tue", "jitter": 5, "late_after": 30,
        },
        {
            "start": {"type": "interval", "interval": 3600, "phase": 60, "args": {"date": "2026-01-01"}},
            "stop": {"type": "duration", "duration": 600},
        },
        {"type": "cron", "cron": "5 4 * * 1", "tz": "UTC", "args": {"region": "us"}},
    ],
    "condition": [
        {"type": "max_running", "count": 2},
        {"type": "dependency", "job_id": "other", "args": {"date": "{{ date }}"}, "states": ["success"]},
    ],
    "action": [{"type": "schedule", "job_id": "other", "args": {"date": "x"}, "if": {"states": ["failure"]}}],
    "successors": [{"job_id": "other", "args": {"date": "y"}}],
    "metadata": {"description": "text", "labels": ["a", "b"], "owner": "me", "links": {"wiki": "http://x"}},
    "retry": {"count": 3, "delay": 60, "backoff": 2.0, "max_delay": 600, "on": ["failure"], "exit_codes": [1, 2]},
    "resources": {"db": 1},
    "priority": 4,
    "timeout": {"duration": 60, "signal": "SIGTERM"},
    "late_after": 90,
    "expect": {"min": 1, "max": 100},
    "output": {"streams": "split", "max_bytes": 1000, "keep": {"days": 1, "count": 2, "bytes": 3}},
    "program": {
        "type": "program", "argv": ["/bin/echo", "{{ date }}", "x"], "host": "local", "user": "nobody", "group": "g",
        "cwd": "/tmp", "env": {"A": "1", "B": None}, "inherit_env": True, "umask": "022", "nice": 1,
        "stop": {"signal": "SIGINT", "grace_period": 10}, "leftovers": "kill", "success_exit_codes": [0, 3],
        "limits": {"cpu": 10, "memory": 100000000}, "stdin": "text", "secrets": {"TOKEN": "name"},
    },
}  # fmt: skip


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value that has none below it."""
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(each, (*path, key))
    else:
        yield path


def others(value: Any) -> list[Any]:
    """Return values of the same kind that may stand in the place of one."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        return [value + 1]
    words = ["us", "eu", "Europe/Paris", "11:30:00", "Wed", "skip", "last", "2027-01-01", "6 4 * * 1", "error", "USR1"]
    words += ["merged", "leave", "interval", "another", "077", "/other", f"{value}x"]
    return [word for word in words if word != value]


def with_value(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(RICH)
    place: Any = changed
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return changed


def without(path: tuple[Any, ...]) -> dict[str, Any]:
    changed = copy.deepcopy(RICH)
    place: Any = changed
    for part in path[:-1]:
        place = place[part]
    del place[path[-1]]
    return changed


def variants(path: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    """Yield the job with another value in one place, and without the key, where that is a job still."""
    value: Any = RICH
    for part in path:
        value = value[part]
    for changed in [*(with_value(path, other) for other in others(value)), without(path)]:
        try:
            parse_job("rich", copy.deepcopy(changed))
        except JobError:
            continue
        yield changed


@pytest.mark.parametrize("path", list(leaves(RICH)), ids=lambda path: ".".join(map(str, path)))
def test_a_comparison_sees_every_key_of_a_job(path: tuple[Any, ...]) -> None:
    old = parse_job("rich", copy.deepcopy(RICH))
    count = 0
    for changed in variants(path):
        new = parse_job("rich", copy.deepcopy(changed))
        count += 1
        assert is_other(old, new)
        keys = changed_keys(old, new)
        assert any(key.startswith(str(path[0])) for key in keys), keys
        assert changed_keys(new, old)
    # another type needs other keys, and these choices are used
    if path[-1] != "type" and path[-2:] not in {("choices", 0), ("choices", 1)}:
        assert count, f"no other value was found for {path}, and it cannot be left out: nothing was compared"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text("ab1", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN, PLAIN)
def test_two_definitions_differ_somewhere_exactly_if_their_hashes_do(old: Any, new: Any) -> None:
    assert bool(list(paths(old, new))) == (canonical(old) != canonical(new))


def test_a_job_whose_file_is_another_one_is_another_job() -> None:
    old, new = (parse_job("a", {"program": NO_OP}, file=file) for file in ("a.yaml", "a.yml"))
    assert old.version == new.version
    assert is_other(old, new)
    assert changed_keys(old, new) == ["file"]


# What would become of the runs made ahead


def each(seconds: float, **terms: Any) -> dict[str, Any]:
    return {"type": "interval", "interval": seconds, **terms}


JOBS: list[dict[str, Any]] = [
    {"program": NO_OP},
    {"program": NO_OP, "schedule": each(600)},
    {"program": NO_OP, "schedule": each(600), "priority": 1},
    {"program": NO_OP, "schedule": each(1200)},
    {"program": NO_OP, "schedule": each(600, enabled=False)},
    {"program": NO_OP, "schedule": [each(600), each(1800, phase=60)]},
    {"program": NO_OP, "params": ["x"], "schedule": [each(3600, args={"x": "1"}), each(3600, args={"x": "2"})]},
    {"program": NO_OP, "params": ["time"], "schedule": each(7200)},
    {"program": NO_OP, "schedule": [each(600, name="s"), each(1200, name="t")]},
    {"program": NO_OP, "schedule": each(60)},
]


def rehearsed(world: World, jobs: dict[str, dict[str, Any]], *, dry_run: bool, **more: Any) -> Done | Failed:
    """Ask for a reload that finds these jobs."""
    world.count += 1
    deed = ReloadJobs(dry_run=dry_run, force=more.pop("force", False))
    asked = Asked(Request(request_id=f"q{world.count}", actor="user:ann", do=deed), token=world.count)
    world.load(jobs, asked=asked, force=deed.force, **more)
    world.settle()
    return world.replies[-1]


@pytest.mark.parametrize("old", range(len(JOBS)))
def test_a_dry_run_foresees_exactly_what_then_becomes_of_the_runs(old: int) -> None:
    for new in [*JOBS, None]:
        world = World()
        world.load({"a": JOBS[old], "b": JOBS[1]})
        world.advance(900)
        if runs := world.runs("a", "scheduled"):
            world.act(runs[0].run_id, "skip")
        before = {run.run_id for run in world.runs("a", "scheduled")}
        kept_events, next_run = len(world.tables.events), world.core.book.last_run
        jobs = {"b": JOBS[1]} | ({"a": new} if new else {})
        foreseen = rehearsed(world, jobs, dry_run=True)
        assert isinstance(foreseen, Done)
        assert {run.run_id for run in world.runs("a", "scheduled")} == before, "nothing has changed"
        assert (len(world.tables.events), world.core.book.last_run) == (kept_events, next_run)
        done = rehearsed(world, jobs, dry_run=False)
        assert isinstance(done, Done)
        for key in ("added", "changed", "removed", "keys"):
            assert foreseen.result[key] == done.result[key]
        would, did = foreseen.result["runs"], done.result["runs"]
        assert [would[key] for key in ("kept", "withdrawn", "made")] == [
            did[key] for key in ("kept", "withdrawn", "made")
        ]
        assert would["withdrawn_ids"] == did["withdrawn_ids"]
        assert would["kept_ids"] == did["kept_ids"]
        times = [[run["schedule_time"] for run in answer["made_runs"]] for answer in (would, did)]
        assert sorted(times[0]) == sorted(times[1])
        after = {run.run_id for run in world.runs("a", "scheduled")}
        assert set(did["kept_ids"]) == (before & after if new != JOBS[old] else set())
        assert set(did["withdrawn_ids"]) == before - after


def test_a_reload_tells_which_keys_of_which_jobs_are_others(world: World) -> None:
    world.load({"a": {"program": SHELL, "priority": 1}, "b": {"program": NO_OP}, "c": {"program": NO_OP}})
    done = rehearsed(
        world,
        {"a": {"program": {**SHELL, "argv": ["/bin/false"]}}, "b": {"program": NO_OP}, "d": {"program": NO_OP}},
        dry_run=True,
    )
    assert isinstance(done, Done)
    found = {key: done.result[key] for key in ("added", "changed", "removed", "keys")}
    assert found == {
        "added": ["d"], "changed": ["a"], "removed": ["c"], "keys": {"a": ["program.argv[0]", "priority"]},
    }  # fmt: skip
    assert sorted(world.core.book.jobs) == ["a", "b", "c"]


def test_a_dry_run_of_what_would_be_held_says_so_and_a_reload_is_refused(world: World) -> None:
    jobs = {f"j{n}": {"program": NO_OP} for n in range(10)}
    world.load(jobs)
    foreseen = rehearsed(world, {"j0": jobs["j0"]}, dry_run=True)
    assert isinstance(foreseen, Done)
    assert (len(foreseen.result["removed"]), foreseen.result["held"]) == (9, "it would remove 9 of 10 jobs")
    refused = rehearsed(world, {"j0": jobs["j0"]}, dry_run=False)
    assert isinstance(refused, Failed)
    assert refused.code == "conflict"
    assert "force" in refused.hint
    forced = rehearsed(world, {"j0": jobs["j0"]}, dry_run=False, force=True)
    assert isinstance(forced, Done)
    assert list(world.core.book.jobs) == ["j0"]


# Many jobs at once


def test_a_large_reload_is_taken_over_in_slices_and_a_due_run_waits_for_no_more_than_one(world: World) -> None:
    many = {f"j{n}": {"program": NO_OP, "schedule": each(600)} for n in range(4 * SLICE)}
    world.load({"due": {"program": NO_OP, "schedule": each(60)}, "x": {"program": NO_OP}})
    world.now = BEGIN + timedelta(seconds=59.999)
    parsed = {job_id: parse_job(job_id, dict(definition)) for job_id, definition in many.items()}
    world.step(JobsLoaded(parsed, gone=frozenset(), force=True))
    assert len(world.tables.jobs) == 2 + SLICE
    assert world.core.reloading
    world.now = BEGIN + timedelta(seconds=60)
    world.step(Tick())
    assert world.runs("due")[0].state in {State.RUNNING, State.SUCCESS}
    assert world.core.reloading, "it started before all was taken over"
    world.settle()
    assert not world.core.reloading
    assert len(world.tables.jobs) == 2 + len(many)
    (first, last) = [event for event in world.tables.events if getattr(event, "kind", "") == "reloaded"][:2]
    assert first.detail["added"] == 2
    assert last.detail["added"] == len(many), "it is told once, when all is done"


def test_a_scheduler_that_dies_amid_a_large_reload_takes_over_the_rest_and_nothing_twice(world: World) -> None:
    many = {f"j{n:03}": {"program": NO_OP, "schedule": each(3600)} for n in range(3 * SLICE)}
    world.load(many)
    world.settle()
    before = {job_id: [run.run_id for run in world.runs(job_id)] for job_id in many}
    other = {job_id: {"program": NO_OP, "schedule": each(7200)} for job_id in many}
    parsed = {job_id: parse_job(job_id, dict(definition)) for job_id, definition in other.items()}
    world.step(JobsLoaded(parsed, gone=frozenset()))
    world.step(Tick())
    assert world.core.reloading
    world.jobs = other
    world.crash()
    world.settle()
    for job_id in many:
        runs = world.runs(job_id, "scheduled")
        assert [run.run_id for run in runs] == before[job_id][1::2], "those that are due no more are withdrawn"
        changed = [e for e in world.tables.events if getattr(e, "job_id", "") == job_id and e.event == "changed"]  # type: ignore[union-attr]
        assert len(changed) == 1


def test_a_run_that_names_a_job_which_comes_in_a_later_slice_binds(world: World) -> None:
    first = {"program": NO_OP, "schedule": each(600), "condition": {"type": "dependency", "job_id": "zz"}}
    many = {f"j{n}": {"program": NO_OP} for n in range(3 * SLICE)}
    world.load({})
    world.load({"aa": first, **many, "zz": {"program": NO_OP}})
    assert world.core.reloading
    assert [run.reason for run in world.runs("aa")] == [""] * len(world.runs("aa"))
    world.settle()


# Versions


def test_jobs_that_say_the_same_stay_two_jobs_over_a_restart(world: World) -> None:
    same = {"program": {"type": "program", "argv": ["/bin/echo", "{{ job_id }}"]}}
    world.load({"a": same, "b": same})
    world.begin()
    assert {job_id: job.job_id for job_id, job in world.core.book.jobs.items()} == {"a": "a", "b": "b"}
    world.load({"a": same, "b": same})
    host = world.host()
    run = world.create("b")
    world.settle()
    assert world.run(run.run_id).program["argv"] == ["/bin/echo", "b"]
    assert host.started == [run.run_id]


def test_a_run_is_fixed_on_leaving_scheduled(world: World) -> None:
    """What is due takes today's version; what has left `scheduled` keeps its own, whatever becomes of the job."""
    world.load({"a": {"program": {"type": "program", "argv": ["/bin/one"]}}})
    later = BEGIN + timedelta(seconds=60)
    scheduled, waiting = world.create("a", at=later), world.create("a")
    assert (scheduled.state, waiting.state) == (State.SCHEDULED, State.WAITING)
    own = waiting.job_version
    world.load({"a": {"program": {"type": "program", "argv": ["/bin/two"]}}})
    host = world.host()
    world.advance(61)
    assert set(host.started) == {scheduled.run_id, waiting.run_id}
    first, second = world.run(waiting.run_id), world.run(scheduled.run_id)
    assert (first.program["argv"], first.job_version) == (["/bin/one"], own)
    assert (second.program["argv"], second.job_version) == (["/bin/two"], world.core.book.jobs["a"].version)


def test_an_unchanged_reload_writes_nothing(world: World) -> None:
    world.load({"a": {"program": NO_OP, "schedule": each(600)}})
    events = len(world.tables.events)
    effects = world.step(JobsLoaded({}, gone=frozenset()))
    assert not effects.durable
    assert len(world.tables.events) == events


def test_a_finding_that_comes_or_goes_is_told_once(world: World) -> None:
    wrong = [{"file": "b.yaml", "line": 1, "message": "no"}]
    world.load({"a": {"program": NO_OP}})
    told = lambda: [e.detail["errors"] for e in world.tables.events if getattr(e, "kind", "") == "reloaded"]  # noqa: E731
    for errors in (wrong, wrong, [], []):
        world.step(JobsLoaded({}, gone=frozenset(), errors=errors))
    assert told() == [0, 1, 0]
    assert format_time(world.now)
