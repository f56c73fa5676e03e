"""What a supervisor says to the scheduler: HELLO, answers, and reports, which are written down before they are sent."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from typing import Any, Final

import apsis
from apsis.failpoints import reach
from apsis.messages.dispatch import Answers, HostHello, Reports
from apsis_bus.peer import Peer
from apsis_services.supervisor import protocol as p
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.spool.reports import ReportsLog
from apsis_services.supervisor.tidings import Told

SCHEDULER: Final = "scheduler"
#: seconds until reports that could not be written are tried again
AGAIN: Final = 1.0

log = logging.getLogger("supervisor")


class Voice:
    """Speaks for one host, spool and boot; `again` is called when reports may be tried to be written once more."""

    def __init__(
        self, host: str, epoch: str, boot: str, peer: Peer, kept: ReportsLog, again: Callable[[], None]
    ) -> None:
        self._host, self._epoch, self._boot = host, epoch, boot
        self._peer = peer
        self._kept = kept
        self._again = again
        self._unwritten = False

    def hello(self, effect: p.SendHello, capabilities: dict[str, Any]) -> None:
        """Say who we are, how far our reports have come, and which databases we know."""
        hello = HostHello(
            host=self._host,
            epoch=self._epoch,
            boot=self._boot,
            seq=effect.seq,
            acked=effect.acked,
            floor=effect.floor,
            version=apsis.__version__,
            cores=os.cpu_count() or 1,
            capabilities=capabilities,
            known=list(effect.known),
            nonce=effect.nonce,
        )
        self._peer.send(SCHEDULER, hello)

    def answer(self, effect: p.SendAnswers) -> None:
        """Answer commands."""
        answers = Answers(
            host=self._host, epoch=self._epoch, boot=self._boot, items=effect.items, journal=effect.journal
        )
        self._peer.send(SCHEDULER, answers)

    def report(self, effect: p.SendReports) -> None:
        """Send reports, if they are written down; else they come again."""
        if self.write():
            reach("supervisor.kept")
            reports = Reports(host=self._host, epoch=self._epoch, boot=self._boot, items=effect.items)
            self._peer.send(SCHEDULER, reports)
            reach("supervisor.reported")

    def write(self) -> bool:
        """Write reports down; False: they cannot be written now, so they are not sent either."""
        try:
            self._kept.flush()
        except OSError as error:
            if not self._unwritten:
                log.error("reports cannot be written: %s", error.strerror, extra={"event": "spool_full"})  # noqa: TRY400
            self._unwritten = True
            asyncio.get_running_loop().call_later(AGAIN, self._again)
            return False
        self._unwritten = False
        return True

    def keep_acked(self, effect: p.KeepAcked, told: dict[Key, Told]) -> None:
        """Write down what is committed, and make the log short again."""
        self._kept.keep(effect)
        if self.write():
            with contextlib.suppress(OSError):  # a full disk: it is rewritten when there is room again
                self._kept.compact(effect.seq, effect.last, told)
