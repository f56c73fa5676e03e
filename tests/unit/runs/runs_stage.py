"""What the tests of the core share: a world with tables in memory, a clock of its own, and hosts."""

from datetime import UTC, datetime, timedelta
from typing import Any

from apsis.jobs.job import Job
from apsis.jobs.parse import parse_job
from apsis.messages.dispatch import Answer, Answers, Finished, Forget, HostHello, Reports, Revoked, Start, Started, Stop
from apsis.messages.requests import ActOnRun, CreateRun, Done, Failed, Request
from apsis.runs.core.effects import Effects
from apsis.runs.core.inputs import Asked, HostLost, HostSaid, Input, JobsLoaded, Tick
from apsis.runs.core.machine import Core
from apsis.runs.core.memory import MemoryTables
from apsis.runs.core.outbox import Outbox
from apsis.runs.core.settings import Settings
from apsis.runs.run import Exit, Run
from apsis.times import format_time

BEGIN = datetime(2026, 6, 30, 12, 0, 0, tzinfo=UTC)
SHELL = {"type": "program", "argv": ["/bin/true"]}


class SimHost:
    """A supervisor with its spool: obeys at most once, and reports until it is acknowledged."""

    def __init__(self, name: str = "local", cores: int = 4) -> None:
        self.name, self.cores = name, cores
        self.epoch, self.boot = "e1", "b1"
        self.seq = 0
        self.floor = 0
        self.journals: dict[str, str] = {}
        self.dispatches: dict[str, int] = {}
        #: every program that was started; a run twice in it is the end of the world
        self.started: list[str] = []
        self.reports: list[Any] = []
        self.forgotten: list[str] = []

    def hello(self) -> HostHello:
        return HostHello(
            host=self.name,
            epoch=self.epoch,
            boot=self.boot,
            seq=self.seq,
            floor=self.floor,
            version="1",
            cores=self.cores,
        )

    def obey(self, commands: Any, now: datetime) -> Answers:
        self.floor = max(self.floor, commands.floor)
        items = [self._obey(commands, item, now) for item in commands.items]
        return Answers(host=self.name, epoch=self.epoch, boot=self.boot, items=items)

    def _obey(self, commands: Any, item: Any, now: datetime) -> Answer:
        run_id = getattr(item, "run_id", "")
        known = self.journals.get(run_id)
        state = known or "none"
        if isinstance(item, Forget):
            self.forgotten += item.run_ids
            state = "done"
        elif isinstance(item, Start) and known is None:
            if (commands.epoch, commands.boot) != (self.epoch, self.boot):
                state = "unknown"
            elif item.dispatch <= self.floor:
                state = "settled"
            else:
                self.journals[run_id] = state = "claimed"
                self.started.append(run_id)
                self.report(Started, run_id=run_id, at=format_time(now), pid=len(self.started))
        elif isinstance(item, Stop) and known is None:
            self.journals[run_id] = state = "revoked"
            self.report(Revoked, run_id=run_id, at=format_time(now))
        return Answer(dispatch=item.dispatch, run_id=run_id, state=state)

    def report(self, kind: Any, **fields: Any) -> None:
        self.seq += 1
        self.reports.append(kind(seq=self.seq, **fields))

    def finish(self, run_id: str, now: datetime, exit: Exit | None = None, **fields: Any) -> None:
        self.journals[run_id] = "done"
        self.report(
            Finished, run_id=run_id, start=format_time(now), end=format_time(now), elapsed=1.0,
            exit=exit or Exit(code=0), **fields,
        )  # fmt: skip

    def said(self) -> Reports:
        return Reports(host=self.name, epoch=self.epoch, boot=self.boot, items=list(self.reports[:64]))


class World:
    """A core, its tables, its hosts, and what lies between them."""

    def __init__(self, **settings: Any) -> None:
        self.settings = Settings(**settings)
        self.tables = MemoryTables()
        self.now = BEGIN
        self.mono = 0.0
        self.hosts: dict[str, SimHost] = {}
        self.replies: list[Done | Failed] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.wake: datetime | None = None
        self.count = 0
        #: False: the hosts hear nothing, and nothing is heard of them
        self.wired = True
        self.begin()

    # The scheduler

    def begin(self) -> None:
        """Start the scheduler, again: from nothing but what was committed."""
        stored = self.tables.begin_term()
        self.core = Core(stored, self.tables, self.settings, parse_job)
        self.outbox = Outbox(stored.journal, stored.term)
        for host in stored.hosts:
            self.outbox.know(host.host, host.dispatch)
        for command in stored.commands:
            self.outbox.put(command)
        self.wake = self.now

    def crash(self) -> None:
        """Kill it and start it: hosts are greeted, jobs are read."""
        self.begin()
        self.load(self.jobs)
        if self.wired:
            for host in self.hosts.values():
                self.step(HostSaid(host.hello()))

    def decide(self, event: Input) -> Effects:
        """Step and commit; nothing is sent."""
        effects = self.core.step(event, self.now)
        self.tables.commit(effects)
        self.core.committed()
        return effects

    def step(self, event: Input) -> Effects:
        """Step, commit, send."""
        effects = self.decide(event)
        self.replies += [reply.body for reply in effects.replies]
        for host in effects.greeted:
            self.outbox.greet(host)
        for command in effects.commands:
            self.outbox.put(command)
        for host, dispatch in effects.settled:
            self.outbox.settle(host, dispatch)
        for host in effects.acks:
            acked = self.tables.hosts[host].seq
            sim = self.hosts[host]
            sim.reports = [report for report in sim.reports if report.seq > acked]
        self.wake = effects.wake
        return effects

    def step_without_sending(self) -> None:
        """Have what the hosts report decided and committed, and be killed before anything is sent."""
        for host in self.hosts.values():
            if host.reports:
                self.decide(HostSaid(host.said()))

    def lose(self, host: str) -> None:
        """Cut a host off."""
        self.wired = False
        self.step(HostLost(host))

    def load(self, jobs: dict[str, dict[str, Any]], **fields: Any) -> Effects:
        self.jobs = jobs
        parsed: dict[str, Job] = {job_id: parse_job(job_id, dict(definition)) for job_id, definition in jobs.items()}
        known = {job_id: job.version for job_id, job in self.core.book.jobs.items()}
        same = frozenset(job_id for job_id, job in parsed.items() if known.get(job_id) == job.version)
        new = {job_id: job for job_id, job in parsed.items() if job_id not in same}
        return self.step(JobsLoaded(new, same=same, **fields))

    # Time and wires

    def settle(self) -> None:
        """Carry messages to and fro until nobody has anything to say."""
        for _ in range(1000):
            messages = self.outbox.due(self.mono) if self.wired else []
            for host, commands in messages:
                self.step(HostSaid(self.hosts[host].obey(commands, self.now)))
            talking = [host for host in self.hosts.values() if host.reports] if self.wired else []
            for host in talking:
                self.step(HostSaid(host.said()))
            if self.wake is not None and self.wake <= self.now:
                self.step(Tick())
            elif not messages and not talking:
                return
        raise AssertionError("they never come to rest")

    def advance(self, seconds: float) -> None:
        """Let time pass, waking the core exactly when it wants to be woken."""
        end = self.now + timedelta(seconds=seconds)
        for _ in range(100_000):
            self.settle()
            if self.wake is None or self.wake > end:
                break
            self._pass_to(max(self.wake, self.now))
            self.step(Tick())
        self._pass_to(end)
        self.step(Tick())
        self.settle()

    def _pass_to(self, time: datetime) -> None:
        self.mono += (time - self.now).total_seconds()
        self.now = time

    def host(self, name: str = "local", cores: int = 4) -> SimHost:
        """Have a host connect."""
        host = self.hosts.setdefault(name, SimHost(name, cores))
        self.step(HostSaid(host.hello()))
        return host

    # People

    def ask(self, deed: Any, request_id: str = "", actor: str = "user:ann") -> Done | Failed:
        self.count += 1
        self.step(Asked(Request(request_id=request_id or f"q{self.count}", actor=actor, do=deed), token=self.count))
        return self.replies[-1]

    def create(self, job_id: str, at: datetime | None = None, **args: str) -> Run:
        """Ask for a run, and return it."""
        done = self.ask(CreateRun(job_id=job_id, args=args, schedule_time=format_time(at) if at else None))
        assert isinstance(done, Done), done
        return self.run(done.result["runs"][0]["run_id"])

    def act(self, run_id: str, action: str, **fields: Any) -> Done | Failed:
        return self.ask(ActOnRun(run_id=run_id, action=action, **fields))

    # Looking

    def run(self, run_id: str) -> Run:
        row = self.tables.run(run_id)
        assert row is not None
        return row.run

    def runs(self, job_id: str, state: str | None = None) -> list[Run]:
        rows = [row.run for _, row in sorted(self.tables.runs.items())]
        return [run for run in rows if run.job_id == job_id and state in (None, run.state)]

    def events(self, run_id: str) -> list[str]:
        return [event.event for event in self.tables.events if getattr(event, "run_id", None) == run_id]
