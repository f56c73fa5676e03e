"""The core between a network that loses, repeats and reorders, and a process that is killed at any step.

The model keeps what a kill leaves (journals, archive, log, floor) apart from what it takes; the model
scheduler resends until answered and applies a report only if it is the next.
"""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apsis.messages.dispatch import Ack, Answer, Command, Commands, Forget, Process, Report, Start, Stop
from apsis.runs.run import Exit
from apsis_services.supervisor import protocol as p
from apsis_services.supervisor.core import Core
from apsis_services.supervisor.facts import Ending, Facts, Key, Phase
from apsis_services.supervisor.outbox import Ledger
from apsis_services.supervisor.tidings import claim_of

JOURNAL, EPOCH, BOOT = 7, "e1", "b1"


@dataclass
class Host:
    """A supervisor whose process may be killed; the zygote and the disk are not."""

    random: random.Random
    journals: dict[Key, Facts] = field(default_factory=dict)
    archive: set[Key] = field(default_factory=set)
    ledger: Ledger = field(default_factory=Ledger)
    floors: dict[int, tuple[int, int]] = field(default_factory=dict)
    programs: list[Key] = field(default_factory=list)
    numbered: dict[int, Report] = field(default_factory=dict)
    zygote: list[tuple[Key, Start]] = field(default_factory=list)
    answered: list[p.Event] = field(default_factory=list)
    out: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.boot(0.0)

    def boot(self, now: float) -> None:
        """A new process: what was in memory is gone, what the zygote has goes on."""
        self.answered.clear()
        self.core = Core(EPOCH, BOOT, Ledger(
            self.ledger.acked, self.ledger.last, dict(self.ledger.pending), dict(self.ledger.told)
        ), dict(self.floors))  # fmt: skip
        for key, facts in self.journals.items():
            self.feed(p.Seen(key, facts), now)
        self.feed(p.LinkUp(), now)

    def feed(self, event: p.Event, now: float) -> None:
        """Take an event; the process may be killed between any two effects."""
        for effect in self.core.step(event, now):
            self.carry_out(effect)

    def carry_out(self, effect: p.Effect) -> None:
        match effect:
            case p.StartProgram(key, start):
                self.zygote.append((key, start))
            case p.TakeClaim(key, _):
                if key not in self.journals and key not in self.archive:
                    self.journals[key] = Facts(phase=Phase.REVOKED, at="t")
                self.answered.append(p.Seen(key, self.journals.get(key, Facts(phase=Phase.SETTLED))))
            case p.KeepReport(key, report):
                assert self.numbered.setdefault(report.seq, report) == report, "a number got other content"
                self.ledger.pending[report.seq] = (key, report)
                self.ledger.last = report.seq
                self.ledger.told[key] = self.core.outbox.told[key]
            case p.KeepAcked(seq, last):
                self.ledger.acked, self.ledger.last = seq, last
                self.ledger.pending = {n: made for n, made in self.ledger.pending.items() if n > seq}
            case p.KeepFloor(journal, term, floor):
                self.floors[journal] = (term, floor)
            case p.Archive(keys):
                for key in keys:
                    del self.journals[key]
                    self.archive.add(key)
            case p.SendReports(items):
                self.out.append(list(items))
            case p.SendAnswers(items):
                self.out.extend(items)
            case p.SendHello():
                self.out.append("hello")

    def move(self, now: float) -> None:
        """The zygote takes one start, a program comes one step further, an answer comes back."""
        if self.zygote and self.random.random() < 0.5:
            key, start = self.zygote.pop(self.random.randrange(len(self.zygote)))
            if self.random.random() < 0.1:
                self.answered.append(p.StartFailed(key, "no memory"))
            elif key in self.journals or key in self.archive:
                self.answered.append(p.Seen(key, self.journals.get(key, Facts(phase=Phase.SETTLED))))
            else:
                self.programs.append(key)
                self.journals[key] = claim_of(start)
                self.answered.append(p.Claimed(key))
        for key, facts in list(self.journals.items()):
            if facts.phase is Phase.CLAIMED and self.random.random() < 0.5:
                self.journals[key] = Facts(**_same(facts), phase=Phase.STARTED, pid=4, at="t")
            elif facts.phase is Phase.STARTED and self.random.random() < 0.3:
                ending = Ending(start="t", end="u", elapsed=1.0, exit=Exit(code=0))
                self.journals[key] = Facts(**_same(facts), phase=Phase.DONE, ending=ending)
            else:
                continue
            if self.random.random() < 0.7:
                self.feed(p.Seen(key, self.journals[key]), now)
        if self.random.random() < 0.05:  # the sweep finds what no change told
            self.answered += [p.Seen(key, facts) for key, facts in self.journals.items()]
        while self.answered:
            self.feed(self.answered.pop(0), now)


def _same(facts: Facts) -> dict[str, object]:
    return {name: getattr(facts, name) for name in ("dispatch", "job_id", "schedule_time", "args_hash", "args")}


@dataclass
class Scheduler:
    """Resends what is not answered; applies the next report and no other."""

    orders: dict[int, Command]
    term: int = 1
    last: int = 0
    floor: int = 0
    answers: dict[int, Answer] = field(default_factory=dict)
    applied: list[Report] = field(default_factory=list)

    def hear(self, message: object) -> Ack | None:
        match message:
            case "hello":
                pass
            case Answer():
                if message.state != "refused":
                    self.answers[message.dispatch] = message
                while self.floor + 1 in self.answers:
                    self.floor += 1
                return None
            case list():
                for report in message:
                    if report.seq == self.last + 1:
                        self.last = report.seq
                        self.applied.append(report)
        return Ack(journal=JOURNAL, term=self.term, epoch=EPOCH, seq=self.last)

    def commands(self) -> Commands:
        items = [order for dispatch, order in self.orders.items() if dispatch not in self.answers]
        return Commands(journal=JOURNAL, term=self.term, epoch=EPOCH, boot=BOOT, floor=self.floor, items=items[:64])


def start(dispatch: int, run: int) -> Start:
    return Start(
        dispatch=dispatch, run_id=f"r{run}", job_id="a", args={}, schedule_time=None, args_hash="h",
        process=Process(argv=["/bin/true"]),
    )  # fmt: skip


def play(seed: int, loss: float, kills: float, *, steps: int = 400) -> tuple[Host, Scheduler]:
    """Let runs go their way through a bad network, then through a good one until all is still."""
    chance = random.Random(seed)
    host = Host(chance)
    orders: dict[int, Command] = {}
    for run in range(8):
        orders[len(orders) + 1] = start(len(orders) + 1, run)
        if run % 3 == 0:
            orders[len(orders) + 1] = Stop(dispatch=len(orders) + 1, run_id=f"r{run}")
    scheduler = Scheduler(orders)
    to_host: list[object] = []
    for step in range(steps + 600):
        now = step * 0.05
        bad = step < steps
        if bad and chance.random() < kills:
            host.boot(now)
        if bad and chance.random() < kills / 2:
            scheduler.term += 1
        if step % 5 == 0:
            to_host.append(scheduler.commands())
        host.move(now)
        host.feed(p.Tick(), now)
        sent, host.out = host.out, []
        for message in sent:
            copies = 0 if bad and chance.random() < loss else 2 if bad and chance.random() < 0.2 else 1
            to_host += [ack for _ in range(copies) if (ack := scheduler.hear(message)) is not None]
        if bad:
            chance.shuffle(to_host)
        keep = [m for m in to_host if bad and chance.random() < 0.3]
        for message in [m for m in to_host if m not in keep]:
            if bad and chance.random() < loss:
                continue
            match message:
                case Ack():
                    host.feed(p.Acked(message), now)
                case Commands():
                    ids = {getattr(item, "run_id", "") for item in message.items}
                    gone = frozenset(key.run_id for key in host.archive if key.run_id in ids)
                    host.feed(p.Ordered(message, gone), now)
        to_host = keep
        if step == steps + 300:
            done = [key.run_id for key in host.journals]
            scheduler.orders[len(scheduler.orders) + 1] = Forget(dispatch=len(scheduler.orders) + 1, run_ids=done)
            # an old start that was still under way somewhere
            host.zygote += [(Key(JOURNAL, o.run_id), o) for o in orders.values() if isinstance(o, Start)]
            to_host.append(Commands(journal=JOURNAL, term=scheduler.term, epoch=EPOCH, boot=BOOT, floor=0,
                                    items=[o for o in orders.values() if isinstance(o, Start)]))  # fmt: skip
    return host, scheduler


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.floats(0, 0.6), st.floats(0, 0.2))
@example(1537, 0.375, 0.0)
def test_no_run_is_started_twice_and_none_is_forgotten(seed, loss, kills):
    host, scheduler = play(seed, loss, kills)
    assert len(host.programs) == len(set(host.programs)), "a run was started twice"
    assert set(scheduler.answers) == set(scheduler.orders), "a command was never answered"
    ended = [report for report in scheduler.applied if type(report).__name__ in ("Finished", "Revoked")]
    assert sorted({report.run_id for report in ended}) == sorted(f"r{n}" for n in range(8))
    assert len(ended) == 8, "an end was told twice"
    assert [report.seq for report in scheduler.applied] == list(range(1, len(scheduler.applied) + 1))


@pytest.mark.parametrize("seed", range(5))
def test_a_calm_network_needs_no_second_message(seed):
    host, _ = play(seed, 0.0, 0.0)
    assert len(host.programs) == len(set(host.programs))
    assert host.journals == {}
    assert len({key.run_id for key in host.archive}) == 8
