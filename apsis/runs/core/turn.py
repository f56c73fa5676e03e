"""One step being decided: the only place where a run's row is changed, and where event ids are given."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from apsis.messages.dispatch import Command
from apsis.messages.events import JobEvent, RunEvent, SysEvent
from apsis.runs.core.book import Book, Host
from apsis.runs.core.effects import Effects
from apsis.runs.core.rows import CommandRow, Facts, HostRow, RunRow
from apsis.runs.core.waiting import ForResource, ForSlot
from apsis.runs.run import LogEntry, Run
from apsis.runs.states import FINISHED, State, follow
from apsis.times import format_time, to_micros

SCHEDULER = "scheduler"


class Turn:
    """Book, clock and effects of one step."""

    def __init__(self, book: Book, now: datetime) -> None:
        self.book = book
        self.now = now
        self.micros = to_micros(now)
        self.at = format_time(now)
        self.effects = Effects()
        #: due times that were walked through: a step does not take on more than it can do in a moment
        self.walked = 0
        #: (id, sha256 of its body) of the request that is being done
        self.request: tuple[str, str] | None = None

    # Runs

    def move(
        self,
        row: RunRow,
        new: State,
        reason: str = "",
        *,
        actor: str = SCHEDULER,
        facts: Facts | None = None,
        entered: str | None = None,
        **changes: Any,
    ) -> RunRow:
        """Let a run enter a state, by the table; `entered` says when it did, where that is not now.

        Raises:
            IllegalTransition: the table has no such step; nothing has changed.
        """
        old = row.run.state
        follow(old, new)
        stamps = {**row.run.timestamps, new.value: entered or self.at}
        run = replace(row.run, state=new, reason=reason, timestamps=stamps, rev=row.run.rev + 1, **changes)
        return self._write(row, run, facts, event=new.value, old=old.value, actor=actor, reason=reason)

    def note(
        self,
        row: RunRow,
        text: str,
        /,
        *,
        actor: str = SCHEDULER,
        event: str = "note",
        facts: Facts | None = None,
        **changes: Any,
    ) -> RunRow:
        """Write down something about a run that is no step of the table: `note`, `refused` or `mark`."""
        run = replace(row.run, rev=row.run.rev + 1, **changes)
        return self._write(row, run, facts, event=event, old=row.run.state.value, actor=actor, reason=text)

    def keep(self, row: RunRow, facts: Facts) -> RunRow:
        """Change what the core alone knows of a run; nobody is told."""
        new = RunRow(row.num, row.args_key, row.run, facts, row.log)
        self._store(row, new)
        return new

    def withdraw(self, row: RunRow, reason: str) -> None:
        """Take back a scheduled run that is due no more."""
        self._run_event(row.run, "withdrawn", row.run.state.value, SCHEDULER, reason, gone=True)
        self.withdraw_all([row])

    def withdraw_all(self, rows: Iterable[RunRow]) -> None:
        """Take back scheduled runs; whoever has that done tells of all of them in one event."""
        for row in rows:
            self.book.enter(row, None)
            self.effects.runs.pop(row.run.run_id, None)
            self.effects.withdrawn.append(row.num)
            self._wake_for(row)

    def _write(
        self, row: RunRow, run: Run, facts: Facts | None, *, event: str, old: str, actor: str, reason: str
    ) -> RunRow:
        number = self._run_event(run, event, old, actor, reason)
        entry = LogEntry(seq=number, at=self.at, actor=actor, event=event, old=old, reason=reason)
        new = RunRow(row.num, row.args_key, run, facts or row.facts, (*row.log, entry))
        self._store(row, new)
        if row.run.state is not run.state:
            self._wake_for(new)
            if run.state in FINISHED and row.run.state not in FINISHED:
                self.book.ended.append(new)
        return new

    def _store(self, old: RunRow, new: RunRow) -> None:
        book = self.book
        if new.run.state is not State.WAITING:
            book.waiting.remove(new.run.run_id)
        known = old if old.run.run_id in book.rows else None
        book.enter(known, new)
        if new.run.state in FINISHED:
            book.keep_fresh(new)
        self.effects.runs[new.run.run_id] = new

    def _wake_for(self, row: RunRow) -> None:
        """Have those looked at whom this run's step may let go on."""
        book, run = self.book, row.run
        book.agenda.extend(book.waiting.for_state(run.job_id, row.args_key, run.state.value))
        if run.state in FINISHED:
            for name in row.facts.resources:
                book.free[ForResource(name)] = None
            for place in book.waiting.places(run.job_id, row.args_key):
                book.free[place] = None
            if run.host is not None:
                book.free[ForSlot(run.host)] = None

    # Events

    def _number(self) -> int:
        self.book.head += 1
        return self.book.head

    def _run_event(self, run: Run, event: str, old: str, actor: str, reason: str, *, gone: bool = False) -> int:
        number = self._number()
        self.effects.events.append(
            RunEvent(
                id=number,
                at=self.at,
                run_id=run.run_id,
                job_id=run.job_id,
                actor=actor,
                event=event,
                old=old,
                reason=reason,
                run=None if gone else run,
            )
        )
        return number

    def job_event(
        self, job_id: str, event: str, actor: str, doc: dict[str, Any] | None, *, withdrawn: list[str] | None = None
    ) -> None:
        """Tell that a job was `added`, `changed`, `removed`, ...; and which of its runs are no more for that."""
        self.effects.events.append(
            JobEvent(
                id=self._number(), at=self.at, job_id=job_id, actor=actor, event=event, job=doc,
                withdrawn=withdrawn or [],
            )
        )  # fmt: skip

    def sys_event(self, kind: str, actor: str = SCHEDULER, **detail: Any) -> None:
        """Tell what happened to the installation itself."""
        self.effects.events.append(SysEvent(id=self._number(), at=self.at, kind=kind, actor=actor, detail=detail))

    # Hosts and commands

    def keep_host(self, host: Host, row: HostRow) -> None:
        """Change what is stored of a host."""
        host.row = row
        self.effects.hosts[row.host] = row

    def command(self, host: Host, run_id: str, make: type[Command], /, **fields: Any) -> CommandRow:
        """Number a command for a host, bind it to the spool and boot that are known now, and have it sent."""
        number = host.row.dispatch + 1
        self.keep_host(host, replace(host.row, dispatch=number))
        row = CommandRow(host.row.host, number, run_id, host.row.epoch, host.row.boot, make(dispatch=number, **fields))
        self.book.commands.setdefault(row.host, {})[number] = row
        self.effects.commands.append(row)
        return row

    def named(self, row: RunRow) -> dict[str, Any]:
        """Return how a run's host knows it: the fields of a command that say so."""
        return {"run_id": row.run.held_as or row.run.run_id, "journal": self.book.journal_of(row)}

    def settle(self, command: CommandRow) -> None:
        """Forget a command that was answered."""
        del self.book.commands[command.host][command.dispatch]
        self.effects.settled.append((command.host, command.dispatch))
