"""The core's memory: unfinished runs, jobs, plans, hosts, open commands, and the indexes over them."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from apsis.conditions import Condition, read_bound
from apsis.errors import ApsisError
from apsis.jobs.job import Job
from apsis.jobs.params import Param
from apsis.messages.requests import Done
from apsis.runs.core.plans import Plan
from apsis.runs.core.ports import Archive, ParsesJob
from apsis.runs.core.rows import CommandRow, CursorRow, HostRow, Pause, RunRow, Stored, due_of
from apsis.runs.core.said import Said
from apsis.runs.core.settings import Settings
from apsis.runs.core.waiting import Need, Waiting
from apsis.runs.states import FINISHED, State
from apsis.times import parse_time, to_micros

if TYPE_CHECKING:
    from apsis.runs.core.changes import Reload

#: states in which a run holds its place under `max_running` and on its host
HOLDING = frozenset({State.STARTING, State.RUNNING, State.STOPPING})
#: states whose runs have not been given to a program yet
BEFORE = frozenset({State.NEW, State.SCHEDULED, State.WAITING})
#: states in which it shows whether a run has started in time
_DUE = frozenset({State.WAITING, State.STARTING, State.RUNNING})
#: states of runs that end by their stop schedule
_STOPPABLE = HOLDING | {State.WAITING}


@dataclass(slots=True)
class Host:
    """A host as it stands: its row, and what is only known while we live."""

    row: HostRow
    connected: bool = False
    #: it has said HELLO to this life of ours. Before, nothing of it is heard: an ack would end its saying so
    greeted: bool = False
    #: the nonce of that HELLO: an ack repeats it, so that it is not taken by a later life of the supervisor
    nonce: int = 0
    #: since when it has been away; None: it is not, or has been marked so
    away_since: datetime | None = None
    #: ids of process runs that hold a place here
    busy: set[str] = field(default_factory=set)
    #: when the oldest run to be forgotten was added
    forget_since: datetime | None = None
    #: dispatch of the inventory that is under way, asked for in this life; None: there is none
    counting: int | None = None
    #: runs that it has told: (journal, id there)
    told: set[tuple[int, str]] = field(default_factory=set)
    #: runs that it must hold, as far as was known when it was asked
    asked: set[str] = field(default_factory=set)


class Timers:
    """A heap of (time, what), where what was put later at another time replaces nothing: the reader checks."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []

    def put(self, micros: int, what: str) -> None:
        """Add a time."""
        heappush(self._heap, (micros, what))

    def first(self, counts: Callable[[str], bool] | None = None) -> int | None:
        """Return the earliest time; with `counts`, what no longer does is forgotten before."""
        while self._heap and counts is not None and not counts(self._heap[0][1]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: int) -> list[tuple[int, str]]:
        """Take out what is at or before now, in order."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heappop(self._heap))
        return due


class Book:
    """Everything that the core knows; its modules read and change it, `Turn` alone writes runs."""

    def __init__(self, stored: Stored, archive: Archive, settings: Settings, parse: ParsesJob) -> None:
        self.journal = stored.journal
        self.past = stored.past
        self.life = stored.life
        self.term = stored.term
        self.restored = stored.restored
        #: the last run that was made before this start of the scheduler
        self.made_before = stored.last_run
        self.head = stored.head
        self.last_run = stored.last_run
        self.latest = stored.latest
        self.archive = archive
        self.settings = settings
        self.parse = parse
        #: False until the job directory has been read once: until then nothing becomes due
        self.loaded = False
        self.jobs: dict[str, Job] = {}
        #: the reload that is being taken over, some jobs at a time, and the jobs that are still to come
        self.reload: Reload | None = None
        self.coming: dict[str, Job] = {}
        #: epoch and number of the last note on alerts that stands in a log
        self.alerts = stored.alerts
        self.errors = stored.errors
        #: the clock is far behind the last commit: nothing is started by it
        self.clock_is_back = False
        #: job, or "" for everything: who holds it
        self.pauses = dict(stored.pauses)
        #: due times before this do not run; microseconds
        self.since = stored.since
        #: version of the rules of the time zones: that by which the runs ahead were made, and that of now
        self.zones = self.zones_now = stored.zones
        #: why the last reload was held, or ""
        self.held = ""
        #: host ("": the scheduler's own disk): why nothing new is started there
        self.no_room: dict[str, str] = {}
        self.rows: dict[str, RunRow] = {}
        self.waiting = Waiting()
        self.hosts: dict[str, Host] = {}
        #: host: dispatch: command, in order of dispatch
        self.commands: dict[str, dict[int, CommandRow]] = {}
        #: job: schedule key: cursor
        self.cursors: dict[str, dict[str, CursorRow]] = {}
        self.plans: dict[tuple[str, str], Plan] = {}
        #: (job, schedule): how many of its runs are scheduled, and how many waiting
        self.scheduled: Counter[tuple[str, str]] = Counter()
        self.stuck: Counter[tuple[str, str]] = Counter()
        #: due times of scheduled runs; ends of no-ops, of waiting, by stop schedules; refills of plans
        self.due = Timers()
        self.ends = Timers()
        self.give_up = Timers()
        self.stops = Timers()
        #: when those that have not started are late, and those that run take too long
        self.late = Timers()
        self.long = Timers()
        #: job: run times of its last successes, the newest last
        self.usual: dict[str, deque[float]] = {}
        self.refills: list[tuple[int, tuple[str, str]]] = []
        #: plans that may be able to make another run
        self.short: dict[tuple[str, str], None] = {}
        #: job: (due, args): the unfinished run that a schedule made
        self.made: dict[str, dict[tuple[int, str], str]] = {}
        #: scheduled runs of a job that is planned anew, until its plan comes past them
        self.aside: dict[str, RunRow] = {}
        #: (job, args) and (job, None): how many hold a place
        self.holding: Counter[tuple[str, str | None]] = Counter()
        #: (job, args, state): how many unfinished runs
        self.standing: Counter[tuple[str, str, State]] = Counter()
        #: resource: how many are taken, by runs that hold a place
        self.taken: Counter[str] = Counter()
        #: run: what was found when the condition was looked at that it waits for
        self.said: dict[str, Said] = {}
        #: (job, args): ids of unfinished runs, the oldest first
        self.unfinished: dict[tuple[str, str], dict[str, None]] = {}
        #: finished or marked since the last commit, which the archive does not show yet; their ids by (job, args)
        self.fresh: dict[str, RunRow] = {}
        self.fresh_ids: dict[tuple[str, str], dict[str, None]] = {}
        self.fresh_answers: dict[str, tuple[str, Done]] = {}
        #: ids of runs to be looked at; needs of which the first in the queue is; ended runs whose effects are owed
        self.agenda: deque[str] = deque()
        self.free: dict[Need, None] = {}
        self.ended: deque[RunRow] = deque()
        #: runs made ahead, in all
        self.ahead = 0
        #: how often a waiting run was looked at: tests count it
        self.looks = 0
        #: (host, journal, id there): runs that go by another number here, finished ones too
        self.aliases = dict(stored.aliases)
        #: by version and job: jobs that say the same have one version
        self._versions: dict[tuple[str, str], Job | None] = {}
        self._conditions: dict[str, list[Condition]] = {}
        self._restore(stored)

    def _restore(self, stored: Stored) -> None:
        for host in stored.hosts:
            self.hosts[host.host] = Host(host)
        for command in stored.commands:
            self.commands.setdefault(command.host, {})[command.dispatch] = command
        for cursor in stored.cursors:
            self.cursors.setdefault(cursor.job_id, {})[cursor.key] = cursor
        for job_id, (version, file) in stored.jobs.items():
            job = self.version(version, job_id)
            if job is not None:
                self.jobs[job_id] = replace(job, file=file)
        for row in stored.runs:
            self.enter(None, row)
            if row.run.state in {State.NEW, State.WAITING}:
                self.agenda.append(row.run.run_id)

    def version(self, version: str, job_id: str) -> Job | None:
        """Return a job as one of its versions has it, or None if that version is not known or no longer parses."""
        key = (version, job_id)
        if key not in self._versions:
            self._versions[key] = self._read_version(version, job_id)
        return self._versions[key]

    def _read_version(self, version: str, job_id: str) -> Job | None:
        found = self.archive.version(version)
        if found is None:
            return None
        try:
            # a calendar's file may have changed since: the run is bound from what the version was called then
            return replace(self.parse(job_id, found[1]), version=version)
        except ApsisError:
            return None

    def keep_version(self, job: Job) -> None:
        """Have a version at hand before it is committed."""
        self._versions[job.version, job.job_id] = job

    def find(self, run_id: str) -> RunRow | None:
        """Return any run, wherever it is kept."""
        return self.rows.get(run_id) or self.fresh.get(run_id) or self.archive.run(run_id)

    def find_held(self, host: str, journal: int, run_id: str) -> RunRow | None:
        """Return the run that a host has under this number and id; number 0: the host does not tell it."""
        alias = self.aliases.get((host, journal, run_id))
        row = self.find(alias or run_id)
        if row is None or alias:
            return row
        if row.run.held_as:  # it has this number here alone
            return None
        return row if journal == 0 or self.journal_of(row) == journal else None

    def journal_of(self, row: RunRow) -> int:
        """Return the number of the database under which a run is claimed; the first of all for runs of old versions."""
        return row.run.journal or (self.past[0] if self.past else self.journal)

    def conditions(self, row: RunRow) -> list[Condition]:
        """Return what a run waits for, as it was bound."""
        found = self._conditions.get(row.run.run_id)
        if found is None:
            found = [read_bound(value) for value in row.run.conditions]
            self._conditions[row.run.run_id] = found
        return found

    def params_of(self, job_id: str) -> dict[str, Param] | None:
        """Return the params of a job, or None if there is no such job."""
        job = self.jobs.get(job_id) or self.coming.get(job_id)
        return job.params if job else None

    def pause_of(self, job_id: str) -> tuple[str, Pause] | None:
        """Return what holds a job: its id, or "" where everything is held, and who did it."""
        for key in (job_id, ""):
            if key in self.pauses:
                return key, self.pauses[key]
        return None

    def enter(self, old: RunRow | None, row: RunRow | None) -> None:
        """Put a run's new row in place of its old one in every index; None: there is none."""
        if old is not None:
            self._leave(old)
            if row is None or row.run.state in FINISHED:
                self._forget(old)
        if row is None:
            return
        run = row.run
        if run.held_as:
            self.aliases[run.host or "", run.journal, run.held_as] = run.run_id
        if run.state in FINISHED:
            self._conditions.pop(run.run_id, None)
            return
        self.rows[run.run_id] = row
        self.unfinished.setdefault((run.job_id, row.args_key), {})[run.run_id] = None
        self.standing[run.job_id, row.args_key, run.state] += 1
        if run.state is not State.WAITING:
            self.said.pop(run.run_id, None)
        if run.expected and run.schedule_time:
            due = to_micros(parse_time(run.schedule_time))
            self.made.setdefault(run.job_id, {})[due, row.args_key] = run.run_id
        if run.state in HOLDING:
            self.holding[run.job_id, row.args_key] += 1
            self.holding[run.job_id, None] += 1
            self.taken.update(row.facts.resources)
            if run.host is not None:
                self.hosts[run.host].busy.add(run.run_id)
        self._count(row, +1)
        self._arm(old, row)

    def _leave(self, row: RunRow) -> None:
        run = row.run
        if run.state in FINISHED:
            return
        self.rows.pop(run.run_id, None)
        stood = (run.job_id, row.args_key, run.state)
        self.standing[stood] -= 1
        if not self.standing[stood]:
            del self.standing[stood]
        if run.expected and run.schedule_time:
            of_job = self.made.get(run.job_id, {})
            of_job.pop((to_micros(parse_time(run.schedule_time)), row.args_key), None)
            if not of_job:
                self.made.pop(run.job_id, None)
        if run.state in HOLDING:
            for key in ((run.job_id, row.args_key), (run.job_id, None)):
                self.holding[key] -= 1
                if not self.holding[key]:
                    del self.holding[key]
            self.taken.subtract(row.facts.resources)
            if run.host is not None:
                self.hosts[run.host].busy.discard(run.run_id)
        self._count(row, -1)

    def _forget(self, row: RunRow) -> None:
        """Take a run that has ended, or is no more, from among the unfinished; one that goes on keeps its place."""
        run = row.run
        self.said.pop(run.run_id, None)
        same = self.unfinished.get((run.job_id, row.args_key), {})
        same.pop(run.run_id, None)
        if not same:
            self.unfinished.pop((run.job_id, row.args_key), None)

    def keep_fresh(self, row: RunRow) -> None:
        """Have a run at hand that has ended, or was marked, until the archive shows it."""
        self.fresh[row.run.run_id] = row
        self.fresh_ids.setdefault((row.run.job_id, row.args_key), {})[row.run.run_id] = None

    def forget_fresh(self) -> None:
        """Let go what was only kept because the archive did not show it yet."""
        self.fresh.clear()
        self.fresh_ids.clear()
        self.fresh_answers.clear()

    def total(self, resource: str) -> int:
        """Return how many there are of a resource."""
        return self.settings.resources.get(resource, 0)

    def set_aside(self, row: RunRow) -> None:
        """Let a scheduled run not count as made ahead until it is taken back."""
        self.aside[row.run.run_id] = row
        self._count(row, -1)

    def take_back(self, run_id: str) -> None:
        """Let a run that was set aside count again; one that was not is no matter."""
        row = self.aside.pop(run_id, None)
        if row is not None:
            self._count(row, +1)

    def _count(self, row: RunRow, by: int) -> None:
        if row.facts.schedule is None:
            return
        key = (row.run.job_id, row.facts.schedule)
        if row.run.state is State.SCHEDULED:
            self.ahead += by
            self.scheduled[key] += by
        elif row.run.state is State.WAITING:
            self.stuck[key] += by
        if by < 0:
            self.short[key] = None

    def _arm(self, old: RunRow | None, row: RunRow) -> None:
        run = row.run
        entered = old is None or old.run.state is not run.state
        if run.state is State.SCHEDULED and entered and (due := due_of(run)) is not None:
            self.due.put(due, run.run_id)
        if run.state in _DUE and (old is None or old.run.state not in _DUE) and (due := due_of(run)) is not None:
            self.late.put(due + int(row.facts.late_after * 1e6), run.run_id)
        if row.facts.ends is not None and (old is None or old.facts.ends is None):
            self.ends.put(to_micros(parse_time(row.facts.ends)), run.run_id)
        if run.state is State.WAITING and entered and row.facts.max_wait is not None:
            since = to_micros(parse_time(run.timestamps[State.WAITING]))
            self.give_up.put(since + int(row.facts.max_wait * 1e6), run.run_id)
        if run.stop_time and run.state in _STOPPABLE and (old is None or old.run.state not in _STOPPABLE):
            self.stops.put(to_micros(parse_time(run.stop_time)), run.run_id)
        began = run.timestamps.get(State.RUNNING) if run.state in HOLDING else None
        if began and row.facts.most is not None and (old is None or State.RUNNING not in old.run.timestamps):
            self.long.put(to_micros(parse_time(began)) + int(row.facts.most * 1e6), run.run_id)
