"""Telling the scheduler what became of attempts: numbered, again and again until it has written it down."""

import asyncio
import logging
from functools import partial
from typing import Final

import msgspec

from apsis.failpoints import reach
from apsis.messages.alerts import AlertNotes, AlertsNoted
from apsis.messages.body import decode
from apsis_bus.peer import BusRefused, BusTimeout, Peer
from apsis_services.alerts.ledger import Ledger
from apsis_services.alerts.writing import Writing

log = logging.getLogger("alerts")

#: seconds: for an answer; first and longest pause after none
_ANSWER: Final = 10.0
_FIRST: Final = 0.25
_LAST: Final = 5.0


class Noting:
    """Sends the notes of the ledger, one message at a time."""

    def __init__(self, peer: Peer, ledger: Ledger, writing: Writing) -> None:
        self._peer = peer
        self._ledger = ledger
        self._writing = writing
        self._some = asyncio.Event()
        self._some.set()

    def look(self) -> None:
        """There are new notes, or somebody is back who can take them."""
        self._some.set()

    async def run(self) -> None:
        """Go on for ever."""
        wait = _FIRST
        while True:
            await self._some.wait()
            self._some.clear()
            while notes := self._ledger.notes():
                message = AlertNotes(epoch=self._ledger.epoch, after=notes[0].seq - 1, items=notes)
                seq = await self._tell(message)
                if seq is not None and seq >= notes[0].seq:
                    await self._writing.insist(partial(self._ledger.acknowledge, seq))
                    wait = _FIRST
                    continue
                await asyncio.sleep(wait)
                wait = min(_LAST, wait * 2)

    async def _tell(self, message: AlertNotes) -> int | None:
        try:
            body, _ = await self._peer.request("scheduler", message, timeout=_ANSWER)
            reach("alerts.reported")
            noted: AlertsNoted = decode(AlertsNoted, body)
        except (BusRefused, BusTimeout, msgspec.DecodeError) as error:
            log.debug("notes on alerts are not taken now: %s", error)
            return None
        return noted.seq if noted.epoch == message.epoch else None
