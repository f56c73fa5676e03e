"""Looks on while the world goes, and says at once when something happens that must never happen."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from apsis.messages.dispatch import Answer, Commands, Report, Start, Stop
from apsis.messages.events import Event, JobEvent, RunEvent
from apsis.runs.core.effects import Effects
from apsis.runs.core.memory import MemoryTables
from apsis.runs.core.rows import HostRow
from apsis.runs.run import Run
from apsis.runs.states import FINISHED, TABLE, State
from apsis_services.supervisor.facts import Key

if TYPE_CHECKING:
    from simulated.kernel import Truth
    from simulated.machine import Machine
    from simulated.world import World

#: answers that say that a run's journal is there
CLAIMS = frozenset({"claimed", "started", "result", "done", "revoked"})
ENDS = frozenset({State.SUCCESS, State.FAILURE, State.SKIPPED})


class Broken(AssertionError):
    """A promise is broken."""


class Watcher:
    """Knows what was committed, said and started, from outside."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.head = 0
        self.runs: dict[str, Run] = {}
        #: rows of the state table that were used
        self.steps: Counter[tuple[str, str]] = Counter()
        #: (host, epoch): number of the last report applied
        self._applied: dict[tuple[str, str], int] = {}
        #: (host, epoch, number): what was said under it
        self._said: dict[tuple[str, str, int], Report] = {}
        #: run: why its scheduler may not know how it ended
        self.doubts: dict[tuple[str, Key], str] = {}
        #: runs whose end was committed in a database that was lost
        self.ended_before: set[tuple[str, Key]] = set()

    def break_(self, promise: str, detail: str) -> None:
        """Say what is broken.

        Raises:
            Broken: always.
        """
        raise Broken(f"{promise}: {detail}")

    # The scheduler

    def put_back(self, tables: MemoryTables) -> None:
        """The database is an older one: what was committed after it was copied was not."""
        self.head = len(tables.events)
        known = {row.run.run_id for row in tables.runs.values() if row.run.state in FINISHED}
        ended = (run for run in self.runs.values() if run.state in FINISHED and run.run_id not in known)
        self.ended_before |= {self.name_of(run) for run in ended}
        self.runs = {row.run.run_id: row.run for row in tables.runs.values()}
        self._applied = {(row.host, row.epoch): row.seq for row in tables.hosts.values()}

    def committed(self, effects: Effects) -> None:
        """Look at a commit."""
        for event in effects.events:
            if event.id != self.head + 1:
                self.break_("event ids are dense", f"{event.id} follows {self.head}")
            self.head = event.id
            if isinstance(event, RunEvent):
                self._run_event(event)
            elif isinstance(event, JobEvent):
                for run_id in event.withdrawn:
                    self.runs.pop(run_id, None)
        for host in effects.hosts.values():
            self._host(host)
        for command in effects.commands:
            self._bound(command.host, command.command, (command.epoch, command.boot))
        if self.world.waits is not None:
            self.world.waits.committed(effects)

    def _run_event(self, event: RunEvent) -> None:
        self.world.say("committed", f"{event.id} {event.run_id} {event.event}: {event.reason}")
        before, run = self.runs.get(event.run_id), event.run
        if run is None:
            self.runs.pop(event.run_id, None)
            return
        if run.rev != (before.rev if before else 0) + 1:
            self.break_("revs are dense", f"{event.run_id} goes from {before and before.rev} to {run.rev}")
        old = before.state if before else State.NEW
        if event.event == "mark":
            self.world.met("marked")
        elif run.state is not old or event.event == run.state.value:
            if old in FINISHED:
                self.break_("a finished run stays finished", f"{event.run_id} goes from {old} to {run.state}")
            if old not in TABLE[run.state]:
                self.break_("states move along the table", f"{event.run_id} goes from {old} to {run.state}")
            self.steps[old.value, run.state.value] += 1
        if event.event == "refused" and event.reason.startswith("reported as"):
            self.world.met("report refused")
            is_known = self.was_marked(run) or self._has_lost_its_log(run) or self.world.restored
            if old in ENDS and not is_known:
                self.break_("a report is applied once", f"{event.run_id}, which is {old}: {event.reason}")
        self.runs[event.run_id] = run

    def _has_lost_its_log(self, run: Run) -> bool:
        return self.world.machines[run.host or "local"].has_lost_its_log

    def was_marked(self, run: Run) -> bool:
        """Say whether somebody has set its end by hand."""
        row = self.world.scheduler.tables.run(run.run_id)
        return run.reason.startswith("marked") or (row is not None and any(e.event == "mark" for e in row.log))

    def _host(self, host: HostRow) -> None:
        last = self._applied.get((host.host, host.epoch), 0)
        if host.seq < last:
            self.break_("reports are applied in order", f"{host.host} goes back from {last} to {host.seq}")
        self._applied[host.host, host.epoch] = host.seq

    def _bound(self, host: str, command: Any, bound: tuple[str, str]) -> None:
        machine = self.world.machines[host]
        if isinstance(command, Start | Stop) and (bound != (machine.disk.epoch, machine.boot) or not machine.is_up):
            self.doubts.setdefault(
                self._named(host, command), "its command was bound to a spool or boot that is no more"
            )

    def in_doubt(self, host: str, why: str) -> None:
        """A host has lost what it held in memory: what is under way there may stay unknown."""
        for row in self.world.scheduler.tables.commands.values():
            if row.host == host and isinstance(row.command, Start | Stop):
                self.doubts.setdefault(self._named(host, row.command), why)

    def ordered(self, host: str, message: Commands) -> None:
        """Commands go out: they must be committed."""
        tables = self.world.scheduler.tables
        for item in message.items:
            row = tables.commands.get((host, item.dispatch))
            if row is None or row.command != item:
                self.break_("what is sent is committed", f"command {item.dispatch} for {host}")
        self._covers(host, message)

    def _covers(self, host: str, message: Commands) -> None:
        open_ = [row.dispatch for row in self.world.scheduler.tables.commands.values() if row.host == host]
        if open_ and message.floor >= min(open_):
            self.break_("the floor is below what is open", f"{host}: {message.floor}, and {min(open_)} is open")

    def acked(self, row: HostRow) -> None:
        """An ack goes out: what it says must be committed."""
        stored = self.world.scheduler.tables.hosts.get(row.host)
        if stored is None or (stored.epoch, stored.seq) != (row.epoch, row.seq):
            self.break_("what is acked is committed", f"{row.seq} to {row.host}")

    def published(self, event: Event) -> None:
        """An event goes out: it must be committed."""
        if event.id > len(self.world.scheduler.tables.events):
            self.break_("what is published is committed", f"event {event.id}")

    # Hosts

    def started(self, truth: Truth) -> None:
        """A program begins."""
        self.world.met("program started")
        # where the database and the spool have both lost it, nobody can know that it ran
        if truth.starts > 1 and not (self.world.restored and truth.unknowable):
            self.break_("a program starts at most once", f"{truth.key.run_id} has started {truth.starts} times")

    def spawned(self, truth: Truth, *, ordered: bool) -> None:
        """A program begins: not, if a stop of it was answered and lies nowhere."""
        if truth.stop_answered and not ordered and not truth.unknowable:
            self.break_("a stop that overtakes its start is obeyed", f"{truth.key.run_id} starts all the same")

    def answered(self, machine: Machine, items: list[Answer]) -> None:
        """Answers go out: what they say of a run must be so."""
        for item in items:
            if not item.run_id:
                continue
            row = self.world.scheduler.tables.commands.get((machine.host, item.dispatch))
            if row is None or not isinstance(row.command, Start | Stop) or row.command.run_id != item.run_id:
                continue
            truth = self.world.truth(*self._named(machine.host, row.command))
            if item.state in CLAIMS and not truth.claimed and not self.world.restored:
                self.break_("a claim is there before it is told", f"{item.run_id} is answered as {item.state}")
            if isinstance(row.command, Stop):
                truth.stop_answered = truth.stop_answered or item.state not in ("unknown", "refused")

    def reported(self, host: str, epoch: str, items: list[Report]) -> None:
        """Reports go out: a number that was taken never says something else."""
        last = self._applied.get((host, epoch), 0)
        for item in items:
            known = self._said.setdefault((host, epoch, item.seq), item)
            if known == item:
                continue
            if item.seq <= last:
                self.break_(
                    "a number that was taken keeps its content",
                    f"{host} says {msgspec.json.encode(item)!r} where it said {msgspec.json.encode(known)!r}",
                )
            self._said[host, epoch, item.seq] = item

    def name_of(self, run: Run) -> tuple[str, Key]:
        """Return a run's host, and the name that it has there."""
        key = Key(run.journal or self.world.scheduler.tables.journal, run.held_as or run.run_id)
        return run.host or "", key

    def _named(self, host: str, command: Start | Stop) -> tuple[str, Key]:
        return host, Key(command.journal or self.world.scheduler.tables.journal, command.run_id)

    # The reader

    def reset(self, reason: str) -> None:
        """The reader gives up the past: only where it cannot be had any more."""
        if reason != "floor" and not self.world.restored:
            self.break_("a reader that can have every event takes no snapshot", reason)

    def handed(self, last: int, event: Event) -> None:
        """An event is handed over: the next one, and no other."""
        if event.id != last + 1:
            self.break_("a reader gets every event once and in order", f"{event.id} follows {last}")
        events = self.world.scheduler.tables.events
        if self.world.restored:  # what was published before the database was put back may still come
            return
        if event.id > len(events) or events[event.id - 1] != event:
            self.break_("a reader gets what was committed", f"event {event.id}")
