"""What must hold when a world has come to rest."""

from __future__ import annotations

from collections import Counter

from simulated import jobs
from simulated.watcher import Broken
from simulated.world import World

from apsis.actions import read_bound
from apsis.messages.events import JobEvent, SysEvent
from apsis.messages.requests import CreateRun, Done
from apsis.runs.core.rows import RunRow
from apsis.runs.states import FINISHED, State
from apsis.times import format_time, from_micros, parse_time, to_micros
from apsis_services.supervisor.facts import Key


def judge(world: World) -> None:
    """Look at everything.

    Raises:
        Broken: a promise is broken.
    """
    problems = [
        *_nothing_is_open(world),
        *(problem for row in world.scheduler.tables.runs.values() for problem in _is_true(world, row)),
        *_each_claim_is_one_run(world),
        *_what_follows_was_made_once(world),
        *_no_time_is_run_twice(world),
        *_each_time_is_answered_for(world),
        *_requests_were_done_once(world),
        *_reader_knows_all(world),
    ]
    if problems:
        raise Broken("\n".join(problems))


def _nothing_is_open(world: World) -> list[str]:
    tables = world.scheduler.tables
    problems = [
        f"every run ends: {row.run.run_id} is {row.run.state} ({row.run.reason})"
        for row in tables.runs.values()
        if row.run.state not in FINISHED
    ]
    problems += [
        f"every command is answered: {type(row.command).__name__} {row.dispatch} of {row.run_id} for {row.host} is open"
        for row in tables.commands.values()
    ]
    for name, machine in world.machines.items():
        outbox = machine.supervisor.core.outbox
        if outbox._pending or outbox._unnumbered:
            problems.append(f"every report is acknowledged: {name} still has {len(outbox._pending)}")
        problems += [
            f"every journal is archived in the end: {key.run_id} on {name} is {journal.state.phase}"
            for key, journal in machine.disk.journals.items()
            if not _is_lost(world, name, key)
        ]
    return problems


def _is_lost(world: World, host: str, key: Key) -> bool:
    return bool(world.truth(host, key).unknowable) or (host, key) in world.watcher.doubts


def _is_true(world: World, row: RunRow) -> list[str]:
    run = row.run
    name = world.watcher.name_of(run)
    truth = world.truth(*name)
    if run.host is None or run.state not in FINISHED or any(entry.event == "mark" for entry in row.log):
        return []
    told = f"{run.run_id} is {run.state} ({run.reason})"
    if run.state in (State.SUCCESS, State.FAILURE):
        if truth.starts > 1:  # the watcher lets that pass only where spool and database have both lost the first
            return []
        if truth.exit is None or run.exit is None:
            return [f"an end is true: {told}, and nobody saw it end"]
        if (run.exit.code, run.exit.signal) != (truth.exit.code, truth.exit.signal):
            return [f"an end is true: {told}, and it ended with {truth.exit}"]
        if run.exit.code is not None and (run.exit.code == 0) != (run.state is State.SUCCESS):
            return [f"an end is true: {told}, and it ended with {truth.exit}"]
        return []
    if run.state is State.SKIPPED:
        # a run that the restored database took for one to come may be skipped before its host has told of it
        return [f"what was skipped never ran: {told}"] if truth.starts and not world.restored else []
    if _is_lost(world, *name) or truth.unstarted or not _was_ordered(row):
        return []
    return [f"unknown is said only where it is: {told}, and it ended with {truth.exit}"]


def _was_ordered(row: RunRow) -> bool:
    return any(entry.event == State.STARTING for entry in row.log)


def _each_claim_is_one_run(world: World) -> list[str]:
    """What a host holds under one name is one run here, also where it goes by another number."""
    names = Counter(
        world.watcher.name_of(row.run)
        for row in world.scheduler.tables.runs.values()
        if row.run.host is not None and _was_ordered(row)
    )
    return [f"a claim is one run: {key.run_id} on {host} is {n} runs" for (host, key), n in names.items() if n > 1]


def _what_follows_was_made_once(world: World) -> list[str]:
    """Each end has its successors; of one that a lost database had committed nobody knows which were begun."""
    rows = world.scheduler.tables.runs.values()
    made = Counter((entry.actor, row.run.job_id) for row in rows for entry in row.log[:1])
    problems = []
    for row in rows:
        run = row.run
        passed_over = any(entry.event == "mark" or entry.reason.startswith("cannot schedule") for entry in row.log)
        if passed_over or world.watcher.name_of(run) in world.watcher.ended_before:
            continue
        actions = (read_bound(value) for value in run.actions)
        due = Counter(action.job_id for action in actions if action.when.holds(run.state))
        problems += [
            f"each end has its successors once: {run.run_id} is {run.state}, and made {found} of {job_id}"
            for job_id, count in due.items()
            if (found := made[f"action:{run.run_id}", job_id]) != count
        ]
    return problems


def _no_time_is_run_twice(world: World) -> list[str]:
    """One due time is one program, also where the database forgot it; a run again is meant, and does not count."""
    started: Counter[tuple[str, str]] = Counter()
    for name, truth in world.truths.items():
        claim = truth.claim
        if claim is not None and truth.starts and claim.schedule_time and not _is_lost(world, *name):
            started[claim.job_id, claim.schedule_time] += not claim.memo.get("rerun_of")
    return [f"a due time runs once: {job_id} of {due} {n} times" for (job_id, due), n in started.items() if n > 1]


def _each_time_is_answered_for(world: World) -> list[str]:
    tables = world.scheduler.tables
    made: Counter[tuple[str, str]] = Counter()
    for row in tables.runs.values():
        if row.run.expected and row.run.schedule_time:
            made[row.run.job_id, row.run.schedule_time] += 1
    recorded = [event.detail for event in tables.events if isinstance(event, SysEvent) and event.kind == "not_run"]
    problems = [f"two schedules make one run: {job_id} of {due}" for (job_id, due), n in made.items() if n > 1]
    for job_id in sorted(world.timed):
        for due in _due(world, job_id):
            told = any(d["job_id"] == job_id and d["first"] <= due <= d["last"] for d in recorded)
            if not made[job_id, due] and not told:
                problems.append(f"every due time is a run or has a reason: {job_id} of {due}")
    return problems


def _due(world: World, job_id: str) -> list[str]:
    """Return the times at which a job was due while its schedules were in force."""
    times: set[str] = set()
    for begin, end in _in_force(world, job_id):
        for schedule in jobs.job(job_id).schedules:
            for occurrence in schedule.occurrences(from_micros(begin)):
                if to_micros(occurrence.time) > end:
                    break
                times.add(format_time(occurrence.time))
    return sorted(times)


def _in_force(world: World, job_id: str) -> list[tuple[int, int]]:
    """Return from when to when, in microseconds, the scheduler had a job with its schedules."""
    spans: list[tuple[int, int]] = []
    since: int | None = None
    for event in world.scheduler.tables.events:
        if isinstance(event, JobEvent) and event.job_id == job_id:
            at = to_micros(parse_time(event.at))
            if since is not None:
                spans.append((since, at))
            since = at if event.job and event.job.get("schedules") else None
    if since is not None:
        spans.append((since, to_micros(world.clock.wall)))
    return spans


def _requests_were_done_once(world: World) -> list[str]:
    made = Counter(
        entry.actor for row in world.scheduler.tables.runs.values() for entry in row.log[:1] if row.run.rerun_of is None
    )
    problems = []
    if world.restored:
        # what was answered after the backup was made is forgotten with it
        return [f"every request is answered: {id_} is not" for id_ in world.people.asked.keys() - world.people.answers]
    for request_id, deed in world.people.asked.items():
        answer = world.people.answers.get(request_id)
        if answer is None:
            problems.append(f"every request is answered: {request_id} {deed} is not")
        elif (
            isinstance(deed, CreateRun)
            and isinstance(answer, Done)
            and deed.job_id != "wrong"
            and made[f"user:{request_id}"] != deed.count
        ):
            problems.append(f"a request is done once: {request_id} made {made[f'user:{request_id}']} runs")
    reruns = Counter(row.run.rerun_of for row in world.scheduler.tables.runs.values())
    problems += [
        f"a run again is made once: of {row.run.run_id} there are {reruns[row.run.run_id]}"
        for row in world.scheduler.tables.runs.values()
        if reruns[row.run.run_id] != len(row.run.reruns)
    ]
    return problems


def _reader_knows_all(world: World) -> list[str]:
    reader, tables = world.reader, world.scheduler.tables
    if world.restored and world.restored_from == tables.journal:
        # nobody said that it was put back, and no host knew better: ids of events were given again
        return []
    problems = []
    if reader.cursor != len(tables.events):
        problems.append(f"the reader gets every event: it is at {reader.cursor} of {len(tables.events)}")
    missing = [n for n in range(reader.snapshot + 1, len(tables.events) + 1) if n not in reader.done]
    if missing:
        problems.append(f"the reader applies every event: not {missing[:5]}")
    elif reader.runs != {row.run.run_id: row.run for row in tables.runs.values()}:
        problems.append("the reader's state is the scheduler's: it is not")
    return problems
