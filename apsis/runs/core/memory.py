"""Tables in memory: what the scheduler's database keeps, for simulations of the core and its crashes."""

from collections.abc import Collection
from typing import Any

import msgspec

from apsis.messages.events import Event
from apsis.runs.core.effects import Effects
from apsis.runs.core.rows import CommandRow, CursorRow, HostRow, JobRow, Pause, RequestRow, RunRow, Stored
from apsis.runs.states import FINISHED, State
from apsis.times import parse_time, to_micros


class MemoryTables:
    """Keeps what is committed, and what a new core starts from. Implements `apsis.runs.core.ports.Archive`."""

    def __init__(self, journal: int = 1) -> None:
        self.journal = journal
        self.term = 0
        self.runs: dict[int, RunRow] = {}
        self.events: list[Event] = []
        self.commands: dict[tuple[str, int], CommandRow] = {}
        self.cursors: dict[tuple[str, str], CursorRow] = {}
        self.hosts: dict[str, HostRow] = {}
        self.jobs: dict[str, JobRow] = {}
        self.versions: dict[str, tuple[str, dict[str, Any]]] = {}
        self.requests: dict[str, RequestRow] = {}
        #: `journal`, `past` and `restored` count here as well, where they are set
        self.meta: dict[str, str] = {}
        #: (job, due, args): the number of the run that a schedule made
        self._made: dict[tuple[str, int, str], int] = {}
        #: (job, args): numbers of its runs
        self._same: dict[tuple[str, str], dict[int, None]] = {}

    def begin_term(self, life: int = 0) -> Stored:
        """Count one more start of the scheduler, and return everything that it starts from.

        `life` tells this start from others of its term, after a restore; 0: they are not told apart.
        """
        self.term += 1
        return Stored(
            journal=self.journal,
            term=self.term,
            life=life,
            past=tuple(int(number) for number in self.meta.get("past", "").split()),
            restored=self.meta.get("restored", ""),
            head=len(self.events),
            last_run=int(self.meta.get("last_run", "0")),
            latest=max((to_micros(parse_time(event.at)) for event in self.events), default=0),
            runs=[row for _, row in sorted(self.runs.items()) if row.run.state not in FINISHED],
            jobs={job_id: (row.version, row.doc.get("file", "")) for job_id, row in self.jobs.items()},
            cursors=list(self.cursors.values()),
            hosts=list(self.hosts.values()),
            commands=[self.commands[key] for key in sorted(self.commands)],
            alerts=self.meta.get("alerts", ""),
            pauses=msgspec.json.decode(self.meta.get("pauses", "{}"), type=dict[str, Pause]),
            since=int(self.meta.get("since", "0")),
            zones=self.meta.get("zones", ""),
            aliases={
                (row.run.host or "", row.run.journal, row.run.held_as): row.run.run_id
                for row in self.runs.values()
                if row.run.held_as and row.run.state in FINISHED
            },
        )

    def commit(self, effects: Effects) -> None:
        """Take in all effects of a turn.

        Raises:
            ValueError: the ids of events are not dense, or one due time was made into two runs.
        """
        for event in effects.events:
            if event.id != len(self.events) + 1:
                raise ValueError(f"event {event.id} follows {len(self.events)}")
            self.events.append(event)
        for num in effects.withdrawn:
            self._drop(num)
        for row in effects.runs.values():
            self._keep(row)
        self.commands |= {(row.host, row.dispatch): row for row in effects.commands}
        for key in effects.settled:
            self.commands.pop(key, None)
        self.hosts |= effects.hosts
        self.meta |= effects.meta
        self.journal = effects.journal or self.journal
        self.versions |= effects.versions
        self.requests |= {row.request_id: row for row in effects.requests}
        for cursor_key, cursor in effects.cursors.items():
            if cursor is None:
                self.cursors.pop(cursor_key, None)
            else:
                self.cursors[cursor_key] = cursor
        for job_id, job in effects.jobs.items():
            if job is None:
                self.jobs.pop(job_id, None)
            else:
                self.jobs[job_id] = job

    def _keep(self, row: RunRow) -> None:
        run = row.run
        if run.expected and run.schedule_time:
            due = (run.job_id, to_micros(parse_time(run.schedule_time)), row.args_key)
            if self._made.setdefault(due, row.num) != row.num:
                raise ValueError(f"{run.run_id} and r{self._made[due]} are made for the same due time")
        self.runs[row.num] = row
        self._same.setdefault((run.job_id, row.args_key), {})[row.num] = None

    def _drop(self, num: int) -> None:
        row = self.runs.pop(num, None)
        if row is not None:
            del self._same[row.run.job_id, row.args_key][num]
            due = to_micros(parse_time(row.run.schedule_time or self.events[0].at))
            self._made.pop((row.run.job_id, due, row.args_key), None)

    def _ended(self, job_id: str, args_key: str) -> list[RunRow]:
        rows = [self.runs[num] for num in self._same.get((job_id, args_key), ())]
        return [row for row in rows if row.run.state in FINISHED]

    # What the core asks

    def run(self, run_id: str) -> RunRow | None:
        """Return any stored run."""
        number = run_id.removeprefix("r")
        return self.runs.get(int(number)) if number.isdigit() else None

    def finished(self, job_id: str, args_key: str, states: Collection[State], limit: int) -> list[str]:
        """Return at most `limit` ids of finished runs of a job with exactly these args, in one of the states."""
        return [row.run.run_id for row in self._ended(job_id, args_key) if row.run.state in states][:limit]

    def made(self, job_id: str, due: int, args_key: str) -> bool:
        """Say whether a schedule has made a run of this job for this due time and these args."""
        return (job_id, due, args_key) in self._made

    def made_between(self, job_id: str, after: int, until: int) -> list[tuple[int, str]]:
        """Return (due, args) of the runs that schedules of a job have made for due times in (after, until]."""
        return [(due, key) for job, due, key in self._made if job == job_id and after < due <= until]

    def run_times(self, job_id: str, until: int, limit: int) -> list[float]:
        """Return the run times, seconds, of the last successes of a job that were due by then, the newest first."""
        nums = sorted(num for (job, _), same in self._same.items() if job == job_id for num in same)
        runs = [self.runs[num].run for num in reversed(nums)]
        return [
            run.elapsed
            for run in runs
            if run.state is State.SUCCESS and run.elapsed is not None
            if not run.schedule_time or to_micros(parse_time(run.schedule_time)) <= until
        ][:limit]

    def previous(self, job_id: str, args_key: str, before: int) -> tuple[int, State] | None:
        """Return number and end of the latest finished run of a job with these args and a number below `before`."""
        ends = [
            (row.num, row.run.state)
            for row in self._ended(job_id, args_key)
            if row.num < before and row.run.state is not State.SKIPPED
        ]
        return max(ends, default=None)

    def version(self, version: str) -> tuple[str, dict[str, Any]] | None:
        """Return the job id and the definition that has this content hash."""
        return self.versions.get(version)

    def answer(self, request_id: str) -> tuple[str, bytes] | None:
        """Return the body hash and the encoded answer of a request that was done."""
        row = self.requests.get(request_id)
        return (row.body_hash, row.answer) if row else None
