"""The core under any order of steps, crashes between commit and send, and messages lost: what always holds."""

from collections import Counter
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from runs_stage import World

from apsis.messages.requests import CreateRun, Request
from apsis.runs.core.inputs import Asked, HostLost, HostSaid, Tick
from apsis.runs.core.rows import RunRow
from apsis.runs.run import Exit
from apsis.runs.states import FINISHED, State
from apsis.times import parse_time, to_micros

PROGRAM = {"type": "program", "argv": ["/bin/true"]}
JOBS: dict[str, dict[str, Any]] = {
    "timer": {"program": PROGRAM, "schedule": {"type": "interval", "interval": 300}},
    "one": {"program": PROGRAM, "condition": {"type": "max_running", "count": 1}, "successors": ["after"]},
    "after": {"program": PROGRAM, "condition": {"type": "dependency", "job_id": "one"}},
    "no-op": {"program": {"type": "no-op", "duration": 5}, "schedule": {"type": "interval", "interval": 420}},
}
CHANGED = {**JOBS, "timer": {**JOBS["timer"], "schedule": {"type": "interval", "interval": 600}}}


class Crashes(RuleBasedStateMachine):
    """A scheduler that is killed at any point, beside a host that goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.undelivered: list[Any] = []
        self.asked: dict[str, CreateRun] = {}
        self.finished: dict[str, State] = {}

    @initialize()
    def begin(self) -> None:
        self.world.load(JOBS)
        self.world.host(cores=1)

    @rule(seconds=st.sampled_from([1, 5, 30, 300, 900]))
    def time_passes(self, seconds: int) -> None:
        self.world.advance(seconds)

    @rule(hours=st.integers(1, 3))
    def it_is_away_for_hours(self, hours: int) -> None:
        self.world.now += timedelta(hours=hours)
        self.world.crash()

    @rule()
    def it_is_killed(self) -> None:
        self.world.crash()

    @rule(job=st.sampled_from(["one", "after"]), at=st.booleans())
    def killed_after_the_commit_before_the_answer(self, job: str, at: bool) -> None:
        """The request is committed, nothing is sent; it comes again after the restart."""
        key = f"again-{len(self.asked)}"
        self.asked[key] = deed = CreateRun(job_id=job)
        world = self.world
        world.decide(Asked(Request(request_id=key, actor="user:ann", do=deed), token=0))
        if at:
            world.decide(Tick())
        world.crash()
        world.ask(deed, key)

    @rule()
    def commands_are_heard_and_the_answers_lost(self) -> None:
        world = self.world
        for host, commands in world.outbox.due(world.mono):
            world.hosts[host].obey(commands, world.now)

    @rule()
    def reports_are_committed_and_the_acks_lost(self) -> None:
        world = self.world
        host = world.hosts["local"]
        if host.reports:
            world.decide(HostSaid(host.said()))
            world.crash()

    @rule()
    def the_host_is_lost_for_a_while(self) -> None:
        self.world.step(HostLost("local"))

    @rule()
    def the_host_says_hello(self) -> None:
        self.world.step(HostSaid(self.world.hosts["local"].hello()))

    @rule(code=st.sampled_from([0, 0, 1]), count=st.integers(1, 5))
    def programs_end(self, code: int, count: int) -> None:
        host = self.world.hosts["local"]
        for run_id in [run_id for run_id, state in host.journals.items() if state == "claimed"][:count]:
            host.finish(run_id, self.world.now, Exit(code=code))

    @rule(changed=st.booleans())
    def jobs_change(self, changed: bool) -> None:
        self.world.load(CHANGED if changed else JOBS)

    @rule(action=st.sampled_from(["stop", "kill", "start", "skip"]), pick=st.integers(0, 50))
    def somebody_acts(self, action: str, pick: int) -> None:
        rows = [row for row in self.world.tables.runs.values() if row.run.state not in FINISHED]
        if rows:
            self.world.act(rows[pick % len(rows)].run.run_id, action)

    @invariant()
    def no_program_is_started_twice(self) -> None:
        for host in self.world.hosts.values():
            assert max(Counter(host.started).values(), default=1) == 1

    @invariant()
    def none_is_started_before_its_time(self) -> None:
        for row in self.world.tables.runs.values():
            run = row.run
            by_hand = any("started by" in entry.reason for entry in row.log)
            if run.schedule_time and "starting" in run.timestamps and not by_hand:
                assert parse_time(run.timestamps["starting"]) >= parse_time(run.schedule_time)

    @invariant()
    def a_finished_run_stays_as_it_is(self) -> None:
        for row in self.world.tables.runs.values():
            if row.run.state in FINISHED:
                assert self.finished.setdefault(row.run.run_id, row.run.state) == row.run.state

    @invariant()
    def the_memory_is_what_the_tables_say(self) -> None:
        stored = {row.run.run_id: row for row in self.world.tables.runs.values() if row.run.state not in FINISHED}
        assert self.world.core.book.rows == stored
        holding = Counter[tuple[str, str | None]]()
        for row in stored.values():
            if row.run.state in {State.STARTING, State.RUNNING, State.STOPPING}:
                holding[row.run.job_id, row.args_key] += 1
                holding[row.run.job_id, None] += 1
        assert self.world.core.book.holding == holding
        assert holding["one", None] <= 1 + sum(_by_hand(row) for row in stored.values())
        assert self.world.core.book.ahead == sum(
            row.run.state is State.SCHEDULED and row.run.expected for row in stored.values()
        )

    @invariant()
    def cursors_never_go_back_before_now(self) -> None:
        for cursor in self.world.tables.cursors.values():
            assert cursor.behind is None or cursor.until is None or cursor.behind <= cursor.until
            assert cursor.at > 0

    def teardown(self) -> None:
        """In the end everything that was started ends, and no request was done twice."""
        world = self.world
        if not world.hosts:
            return
        world.crash()
        host = world.hosts["local"]
        for _ in range(400):
            world.settle()
            for run_id in [run_id for run_id, state in host.journals.items() if state == "claimed"]:
                host.finish(run_id, world.now)
            world.advance(1)
            if not any(row.run.state in {"starting", "stopping", "running"} for row in world.tables.runs.values()):
                break
        for run_id in host.started:
            row = world.tables.run(run_id)
            assert row is not None
            assert row.run.state in FINISHED, run_id
        due = [
            (row.run.job_id, to_micros(parse_time(row.run.schedule_time)), row.args_key)
            for row in world.tables.runs.values()
            if row.run.expected and row.run.schedule_time
        ]
        assert len(due) == len(set(due)), "one due time, one run"
        answered = [row for row in world.tables.requests if row.startswith("again-")]
        assert len(answered) == len(self.asked)


def _by_hand(row: RunRow) -> bool:
    return row.facts.forced


TestCrashes = Crashes.TestCase
TestCrashes.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
