"""A core under a virtual clock with real schedules: killed, away, paused and resumed at random; and the account of it.

After a play each due time of the slow enumeration must have become one run, or be on record with a reason.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from enumeration import Walls, due_times

from apsis.jobs.job import Job
from apsis.jobs.parse import parse_job
from apsis.messages.events import SysEvent
from apsis.messages.requests import Done, PauseJobs, Request, ResumeJobs
from apsis.runs.core.inputs import Asked, Began, Input, JobsLoaded, Tick
from apsis.runs.core.machine import Core
from apsis.runs.core.memory import MemoryTables
from apsis.runs.core.settings import Settings
from apsis.runs.run import Run
from apsis.runs.states import State
from apsis.times import format_time, parse_time


@dataclass(slots=True)
class Away:
    """A while in which nothing of some job is started: the scheduler is gone (job None), or the job is paused."""

    job_id: str | None
    begin: datetime
    end: datetime


@dataclass
class Play:
    """One installation, its clock, and what has been done to it."""

    draw: random.Random
    definitions: dict[str, dict[str, Any]]
    begin: datetime
    end: datetime
    settings: Settings = field(default_factory=Settings)
    tables: MemoryTables = field(default_factory=MemoryTables)
    away: list[Away] = field(default_factory=list)
    #: steps that were decided and then lost with the process
    lost: int = 0

    def __post_init__(self) -> None:
        self.now = self.begin
        self.jobs: dict[str, Job] = {id_: parse_job(id_, dict(text)) for id_, text in self.definitions.items()}
        self.paused: dict[str, datetime] = {}
        self.count = 0
        self._start()

    # The scheduler

    def _start(self) -> None:
        self.core = Core(self.tables.begin_term(), self.tables, self.settings, parse_job)
        self.wake: datetime | None = self.now
        self.step(Began())
        known = {job_id: job.version for job_id, job in self.core.book.jobs.items()}
        new = {job_id: job for job_id, job in self.jobs.items() if known.get(job_id) != job.version}
        self.step(JobsLoaded(new, same=frozenset(self.jobs.keys() - new.keys())))

    def step(self, event: Input) -> Any:
        """Decide and commit."""
        effects = self.core.step(event, self.now)
        self.tables.commit(effects)
        self.core.committed()
        self.wake = effects.wake
        return effects

    def kill(self, seconds: float) -> None:
        """Kill the scheduler, now and then between deciding and committing, and start it some time later."""
        if self.draw.random() < 0.5:
            self.core.step(Tick(), self.now)
            self.lost += 1
        self.away.append(Away(None, self.now, self.now + timedelta(seconds=seconds)))
        self.now += timedelta(seconds=seconds)
        self._start()

    def advance(self, until: datetime) -> None:
        """Let time pass, waking the core exactly when it wants to be woken."""
        steps = 0
        while self.wake is not None and self.wake <= until:
            steps = steps + 1 if self.wake <= self.now else 0
            assert steps < 1000, f"it never comes to rest at {self.now}"
            self.now = max(self.now, self.wake)
            self.step(Tick())
        self.now = until

    # People

    def ask(self, deed: Any) -> None:
        """Have something done."""
        self.count += 1
        effects = self.step(Asked(Request(request_id=f"q{self.count}", actor="user:ann", do=deed), self.count))
        assert isinstance(effects.replies[-1].body, Done), effects.replies[-1].body

    def pause(self, job_id: str) -> None:
        """Pause a job, or resume it if it is paused."""
        began = self.paused.pop(job_id, None)
        if began is None:
            self.paused[job_id] = self.now
            self.ask(PauseJobs(job_id=job_id, reason="so it was drawn"))
        else:
            self.away.append(Away(job_id, began, self.now))
            self.ask(ResumeJobs(job_id=job_id))

    # The whole

    def play(self, faults: int) -> None:
        """Go from begin to end, with so many faults on the way; in the end all is resumed."""
        moments = sorted(self.begin + (self.end - self.begin) * self.draw.random() for _ in range(faults))
        for moment in moments:
            if moment > self.now:
                self.advance(moment)
            if self.draw.random() < 0.5:
                self.kill(self.draw.choice([0.0, 5.0, 600.0, 7200.0, 50_000.0]))
            else:
                self.pause(self.draw.choice(sorted(self.jobs)))
        self.advance(max(self.now, self.end))
        for job_id in list(self.paused):
            self.pause(job_id)
        self.advance(self.now + timedelta(seconds=1))


class Account:
    """What became of each due time of a play."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.runs: dict[tuple[str, str, str], Run] = {}
        self.twice: list[str] = []
        for row in play.tables.runs.values():
            run = row.run
            if not run.expected or parse_time(str(run.schedule_time)) > play.now:
                continue
            key = (run.job_id, str(run.schedule_time), run.args.get("date", ""))
            if key in self.runs:
                self.twice.append(f"{key} is {run.run_id} and {self.runs[key].run_id}")
            self.runs[key] = run
        details = [
            event.detail for event in play.tables.events if isinstance(event, SysEvent) and event.kind == "not_run"
        ]
        self.records: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for detail in details:
            self.records.setdefault((detail["job_id"], detail["schedule"]), []).append(detail)

    def wrong(self) -> list[str]:
        """Return what is not as it was promised."""
        found = [f"twice: {text}" for text in self.twice]
        known: set[tuple[str, str, str]] = set()
        walls: dict[str, Walls] = {}
        play = self.play
        for job_id, definition in play.definitions.items():
            job = play.jobs[job_id]
            for schedule, text in zip(job.schedules, definition["schedule"], strict=True):
                zone = text.get("start", text).get("tz") if "type" not in text else text.get("tz")
                if zone is not None and zone not in walls:
                    walls[zone] = Walls(zone, play.begin, play.now)
                # what was due at the very moment of the beginning was before it, and at that of the end is not
                moment = timedelta(milliseconds=1)
                times = due_times(text, play.begin + moment, play.now + moment, walls)
                found += self._wrong_of(job_id, schedule.key, times, known)
        return found + [f"not due: {key} is {run.run_id}" for key, run in self.runs.items() if key not in known]

    def _wrong_of(
        self, job_id: str, schedule: str, times: list[tuple[datetime, str]], known: set[tuple[str, str, str]]
    ) -> list[str]:
        found = []
        dated = bool(self.play.jobs[job_id].params)
        recorded: Counter[int] = Counter()
        records = self.records.get((job_id, schedule), [])
        for when, day in times:
            key = (job_id, format_time(when), day if dated else "")
            known.add(key)
            run = self.runs.get(key)
            hits = [n for n, record in enumerate(records) if record["first"] <= key[1] <= record["last"]]
            if run is not None:
                found += self._wrong_run(run, when)
            elif len(hits) != 1:
                found.append(f"{'lost' if not hits else 'recorded twice'}: {key} of {schedule}")
            else:
                recorded[hits[0]] += 1
        for n, record in enumerate(records):
            if record["count"] != recorded[n]:
                found.append(f"miscounted: {job_id} {record}, of which {recorded[n]} are due and no run")
            if not record["reason"]:
                found.append(f"no reason: {record}")
        return found

    def _wrong_run(self, run: Run, when: datetime) -> list[str]:
        began = run.timestamps.get(State.RUNNING)
        what = f"{run.run_id} of {run.job_id}, due {run.schedule_time}"
        if began is None:
            reasoned = run.state is State.SKIPPED and run.reason
            return [] if reasoned else [f"no reason: {what} is {run.state}: {run.reason}"]
        if parse_time(began) < when:
            return [f"early: {what} began {began}"]
        if parse_time(began) > when and not self._was_away(run.job_id, when):
            return [f"late: {what} began {began}"]
        if parse_time(began) > when and any(each.job_id == run.job_id and each.begin < when < each.end
                                            for each in self.play.away):  # fmt: skip
            return [f"paused, and run: {what} began {began}"]
        return []

    def _was_away(self, job_id: str, when: datetime) -> bool:
        return any(each.job_id in {None, job_id} and each.begin <= when <= each.end for each in self.play.away)
