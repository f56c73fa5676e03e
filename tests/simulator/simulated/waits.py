"""What runs wait for, in seeds of their own: resources, duplicates, conditions that somebody looks at.

These seeds have other jobs than the rest, so that those stay the same worlds. Looks at each commit, and says at once
when a resource is taken that is not there, or somebody is passed over.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from apsis.messages.requests import CreateRun
from apsis.runs.core.effects import Effects
from apsis.runs.core.inputs import ConditionSaid
from apsis.runs.core.judging import order_of
from apsis.runs.core.rows import RunRow
from apsis.runs.core.said import Question
from apsis.runs.states import FINISHED, State

if TYPE_CHECKING:
    from simulated.scheduler import Scheduler
    from simulated.world import World

#: seeds from here on are played with these jobs
FIRST: Final = 1_000_000
#: how many there are of each resource
RESOURCES: Final = {"db": 2, "tape": 1}

_ON: Final = ["waiting", "starting", "running", "stopping"]
_FILE: Final = {"type": "file", "path": "/data/{{ n }}"}
_HOLDING: Final = frozenset({State.STARTING, State.RUNNING, State.STOPPING})
_BEFORE: Final = frozenset({State.NEW, State.SCHEDULED, State.WAITING})
_FOR_RESOURCES: Final = "waiting for resources"
#: seconds for which what a run waits for may lie idle: it is a matter of one step
_IDLE: Final = 2.0
#: who waits for a host is not passed over by those that run elsewhere
_PROGRAM: Final = {"type": "program", "argv": ["/bin/true"], "stop": {"signal": "SIGTERM", "grace_period": 1}}

JOBS: Final[dict[str, dict[str, Any]]] = {
    "small": {"program": _PROGRAM, "resources": {"db": 1}},
    "big": {"program": _PROGRAM, "resources": {"db": 2}},
    "both": {"program": {**_PROGRAM, "host": "far"}, "resources": {"db": 1, "tape": 1}, "priority": 1},
    "tape": {"program": {"type": "no-op", "duration": 1}, "resources": {"tape": 1}},
    "single": {
        "program": _PROGRAM,
        "params": ["n"],
        "condition": [{"type": "skip_duplicate", "check_states": _ON}, _FILE],
    },
    "looked": {
        "program": {"type": "no-op", "duration": 1},
        "params": ["n"],
        "condition": [_FILE, {"type": "command", "command": "true"}],
        "resources": {"db": 1},
    },
}


class Waits:
    """Plays the one who looks at conditions, and keeps an eye on what is taken."""

    def __init__(self, world: World) -> None:
        self.world = world
        #: run: the conditions of it that were found to hold, and that was committed
        self.held: dict[str, set[int]] = {}
        self.states: dict[str, State] = {}
        self.waited: set[str] = set()
        #: run that waits for resources: since when there was enough for it
        self.could_since: dict[str, float] = {}

    def wish(self) -> CreateRun:
        """Return what somebody asks for."""
        chance = self.world.random
        job_id = chance.choice(list(JOBS))
        args = {"n": str(chance.randint(0, 1))} if "params" in JOBS[job_id] else {}
        return CreateRun(job_id=job_id, args=args, count=chance.choice([1, 1, 2, 3]))

    # Who looks

    def asked(self, scheduler: Scheduler, questions: dict[str, Question | None]) -> None:
        """Take what the scheduler wants looked at; what is found comes later, at times wrong or twice."""
        chance = self.world.random
        for run_id, question in questions.items():
            if question is None:
                continue
            if question.index in self.held.get(run_id, ()) and not self.world.restored:
                self.world.watcher.break_("what held once is not looked at again", f"{run_id}, {question.index}")
            after = 0.0
            for _ in range(chance.choice([1, 2, 3])):
                after += chance.uniform(0.01, 1.5)
                scheduler.later(after, self._find, scheduler, question, "waits")
            what = "fails" if chance.random() < 0.05 else "holds"
            scheduler.later(after + chance.uniform(0.01, 2.0), self._find, scheduler, question, what)
            if chance.random() < 0.2:
                # an answer of before, that comes when something else is asked
                scheduler.later(after + chance.uniform(2.0, 4.0), self._find, scheduler, question, what)

    def _find(self, scheduler: Scheduler, question: Question, what: str) -> None:
        self.world.met(f"condition {what}")
        scheduler.feed(ConditionSaid(question.run_id, question.index, what, f"at {self.world.clock.now:.1f}"))

    # What is taken

    def committed(self, effects: Effects) -> None:
        """Look at what stands in the tables after a commit."""
        rows = {row.run.run_id: row for row in self.world.scheduler.tables.runs.values()}
        for row in effects.runs.values():
            self._sticky(row)
        admitted = [row for row in effects.runs.values() if self._is_admitted(row)]
        self._resources(rows, admitted)
        self._duplicates(rows, effects, admitted)
        self._nobody_waits_for_what_is_free(rows)
        self.states = {run_id: row.run.state for run_id, row in rows.items()}
        self.waited = {run_id for run_id, row in rows.items() if _waits_for_resources(row)}

    def _is_admitted(self, row: RunRow) -> bool:
        """Say whether a run has been let past all by this commit, and not by hand."""
        before = self.states.get(row.run.run_id, State.NEW)
        begun = row.run.state in _HOLDING or State.STARTING.value in row.run.timestamps
        return before in _BEFORE and begun and not row.facts.forced

    def _sticky(self, row: RunRow) -> None:
        held = self.held.setdefault(row.run.run_id, set())
        if self.world.restored or row.run.state in FINISHED:
            return
        lost = [index for index in held if index >= row.facts.passed]
        if lost:
            self.world.watcher.break_("what held once stays so", f"{row.run.run_id}: {lost}")
        held |= set(range(row.facts.passed))

    def _resources(self, rows: dict[str, RunRow], admitted: list[RunRow]) -> None:
        taken: Counter[str] = Counter()
        for row in rows.values():
            if row.run.state in _HOLDING:
                taken.update(row.facts.resources)
        for row in admitted:
            if row.run.state not in _HOLDING:
                continue
            self.world.met("resources taken") if row.facts.resources else None
            over = [name for name in row.facts.resources if taken[name] > RESOURCES[name]]
            if over and not self._was_over(rows, over):
                self.world.watcher.break_("no more is taken than there is", f"{row.run.run_id}: {dict(taken)}")
            for other in rows.values():
                passed_over = (
                    _waits_for_resources(other)
                    and other.run.run_id in self.waited
                    and order_of(other) < order_of(row)
                    and not other.facts.resources.keys().isdisjoint(row.facts.resources)
                )
                if passed_over:
                    detail = f"{other.run.run_id} waits, and {row.run.run_id} starts"
                    self.world.watcher.break_("nobody is passed over in a line", detail)

    def _was_over(self, rows: dict[str, RunRow], names: list[str]) -> bool:
        """Say whether somebody who was started by hand, or taken over from a host, has what is too much."""
        return self.world.restored or any(
            row.run.state in _HOLDING and row.facts.forced and not row.facts.resources.keys().isdisjoint(names)
            for row in rows.values()
        )

    def _nobody_waits_for_what_is_free(self, rows: dict[str, RunRow]) -> None:
        """Break if somebody has waited for long who could have started: the first in its lines, with enough left."""
        taken: Counter[str] = Counter()
        for row in rows.values():
            if row.run.state in _HOLDING:
                taken.update(row.facts.resources)
        waiting = sorted((row for row in rows.values() if _waits_for_resources(row)), key=order_of)
        wanted: set[str] = set()
        could: dict[str, float] = {}
        now = self.world.clock.now
        for row in waiting:
            mine = row.facts.resources
            if wanted.isdisjoint(mine) and all(taken[name] + count <= RESOURCES[name] for name, count in mine.items()):
                since = could[row.run.run_id] = self.could_since.get(row.run.run_id, now)
                if now - since > _IDLE and not self.world.restored:
                    detail = f"{row.run.run_id} since {now - since:.1f} s"
                    self.world.watcher.break_("nobody waits for what is free", detail)
            wanted |= mine.keys()
        self.could_since = could

    def _duplicates(self, rows: dict[str, RunRow], effects: Effects, admitted: list[RunRow]) -> None:
        for row in effects.runs.values():
            if row.run.state is State.SKIPPED and row.run.reason.startswith("a duplicate of "):
                of = row.run.reason.removeprefix("a duplicate of ").partition(":")[0]
                self.world.met("duplicate")
                if _came_due(rows[of]) > _came_due(row) and not self.world.restored:
                    detail = f"{row.run.run_id} of {of}"
                    self.world.watcher.break_("only older runs make a duplicate", detail)
        for row in admitted:
            if row.run.job_id != "single" or row.run.state not in _HOLDING:
                continue
            others = [
                other.run.run_id
                for other in rows.values()
                if other is not row
                and other.run.state in _HOLDING
                and (other.run.job_id, other.args_key) == ("single", row.args_key)
                and not other.facts.forced
                and other.run.run_id != row.run.run_id
            ]
            if others and not self.world.restored:
                self.world.watcher.break_("a duplicate does not start", f"{row.run.run_id} beside {others}")


def _came_due(row: RunRow) -> tuple[str, int]:
    stamps = row.run.timestamps
    return min(stamps.get(state, "~") for state in ("waiting", "starting", "skipped")), row.num


def _waits_for_resources(row: RunRow) -> bool:
    return row.run.state is State.WAITING and row.run.reason.startswith(_FOR_RESOURCES)
