"""Reports on their way to the scheduler: numbered, dense, sent again until committed. Pure."""

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from apsis.messages.batches import ITEMS, batches
from apsis.messages.dispatch import Report
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.protocol import Effect, KeepAcked, KeepReport, SendReports
from apsis_services.supervisor.tidings import Told

#: answers in one message
BATCH: Final = ITEMS
#: reports sent and not acked; more wait, so that a long absence does not end in a flood
WINDOW: Final = 8 * ITEMS
#: seconds until the first and between later sendings
FIRST_DELAY: Final = 0.25
LAST_DELAY: Final = 5.0


@dataclass(slots=True)
class Ledger:
    """What the reports log remembers: enough to go on where a killed supervisor stopped."""

    acked: int = 0
    last: int = 0
    #: not yet acked, by number; dense from `acked + 1` to `last`
    pending: dict[int, tuple[Key, Report]] = field(default_factory=dict)
    told: dict[Key, Told] = field(default_factory=dict)


class Outbox:
    """Numbers reports and says which are to be sent when.

    Nothing is numbered before the scheduler has said, in this life of ours, how far it has come: after a
    power cut our log may be older than what was committed, and a number must never get other content.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.acked = ledger.acked
        self.last = ledger.last
        self.told = dict(ledger.told)
        self._pending = dict(ledger.pending)
        self._unnumbered: list[tuple[Key, Report]] = []
        self._synced = False
        #: True between the scheduler's answer to our hello and the loss of the link
        self._open = False
        self._sent = self.acked
        self._delay = FIRST_DELAY
        self._resend_at: float | None = None

    def tell(self, key: Key, report: Report, what: Told = Told.NOTHING) -> list[Effect]:
        """Take a report (its `seq` is given here), unless `what` was told already."""
        told = self.told.get(key, Told.NOTHING)
        if what and told & what:
            return []
        if what:
            self.told[key] = told | what
        if not self._synced:
            self._unnumbered.append((key, report))
            return []
        return [self._number(key, report)]

    def untold(self) -> frozenset[Key]:
        """Return the runs of which something was told that is not acknowledged."""
        return frozenset(key for key, _ in (*self._pending.values(), *self._unnumbered))

    def forget(self, key: Key) -> None:
        """The run is archived: nothing more will be told of it."""
        self.told.pop(key, None)

    def keep_only(self, keys: Container[Key]) -> None:
        """Forget what was told of runs whose journals are gone."""
        self.told = {key: told for key, told in self.told.items() if key in keys}

    def shut(self) -> None:
        """The link is lost: send nothing until the scheduler has answered a hello again."""
        self._open = False

    def ack(self, seq: int) -> list[Effect]:
        """Reports up to `seq` are committed. The first ack of a link opens it, and what is pending goes at once."""
        effects: list[Effect] = []
        if not self._open:
            self._open = True
            self._rewind()
            self._delay = FIRST_DELAY
        if seq > self.last:
            # The scheduler is ahead: our log was lost in a power cut. Go on above what it has committed.
            effects += self._skip_to(seq)
        elif seq > self.acked:
            for number in range(self.acked + 1, seq + 1):
                self._pending.pop(number, None)
            self.acked = seq
            self._delay = FIRST_DELAY
            self._resend_at = None
            effects.append(KeepAcked(self.acked, self.last))
        self._sent = max(self._sent, self.acked)
        if not self._synced:
            self._synced = True
            effects += [self._number(key, report) for key, report in self._unnumbered]
            self._unnumbered.clear()
        return effects

    def due(self, now: float) -> list[Effect]:
        """Return what is to be sent now: what was never sent, and all again where an ack is late."""
        if not self._open or not self._pending:
            return []
        if self._resend_at is not None and now >= self._resend_at:
            self._rewind()
            self._delay = min(self._delay * 2, LAST_DELAY)
        batches = list(self._unsent())
        if self._sent > self.acked and self._resend_at is None:
            self._resend_at = now + self._delay
        return [SendReports(batch) for batch in batches]

    def next_due(self) -> float | None:
        """Return when something is to be sent again; None: not before something happens."""
        return self._resend_at if self._open and self._pending else None

    def _unsent(self) -> Iterator[list[Report]]:
        stop = min(self.last, self.acked + WINDOW)
        reports = [self._pending[number][1] for number in range(self._sent + 1, stop + 1)]
        for batch in batches(reports, lambda report: report):
            self._sent = batch[-1].seq
            yield batch

    def _number(self, key: Key, report: Report) -> KeepReport:
        self.last += 1
        numbered = msgspec.structs.replace(report, seq=self.last, journal=key.journal)
        self._pending[self.last] = (key, numbered)
        return KeepReport(key, numbered)

    def _skip_to(self, seq: int) -> list[Effect]:
        # What we had numbered at or below `seq` in this life was never taken as ours: it gets new numbers.
        renumber = list(self._pending.values()) if self._synced else []
        self._pending.clear()
        self.acked = self.last = self._sent = seq
        self._resend_at = None
        return [KeepAcked(seq, seq), *(self._number(key, report) for key, report in renumber)]

    def _rewind(self) -> None:
        self._sent = self.acked
        self._resend_at = None
