"""Housekeeping: events and answers that are past their time go, but no event that a registered consumer still needs."""

import logging
import sqlite3
from collections.abc import Callable
from typing import Final

from apsis.messages.requests import Failed
from apsis.messages.snapshots import Consumed, Registered
from apsis.times import format_time, from_micros
from apsis_bus.peer import Delivery
from apsis_services.scheduler.consumers import Consumers
from apsis_services.scheduler.tables import Tables

log = logging.getLogger("scheduler")

#: name of the stored text in the table `meta`
KEY: Final = "consumers"

#: tells everybody what happened: kind, and what is to be said about it
Tells = Callable[[str, dict[str, object]], None]


class Housekeeping:
    """Knows who still needs which events, and deletes the others, some rows at a time."""

    def __init__(self, tables: Tables, tell: Tells) -> None:
        self._tables = tables
        self._tell = tell
        self._consumers = Consumers(tables.meta(KEY))
        self._written = self._consumers.text()
        #: number of the last event that is gone
        self.floor = tables.floor()

    def tidy(self, now: int) -> bool:
        """Delete what is past its time; True: there is more of it. `now` in microseconds.

        Raises:
            sqlite3.OperationalError: the database cannot be written now.
        """
        for name, place in self._consumers.drop_silent(now).items():
            since = format_time(from_micros(place.heard))
            self._tell("consumer_dropped", {"name": name, "cursor": place.cursor, "heard": since})
        self._keep()
        more = self._tables.prune(now, self._consumers.floor) > 0
        if more:
            self.floor = self._tables.floor()
        return more

    def hear(self, message: Consumed, delivery: Delivery, journal: int, head: int, now: int) -> None:
        """Register a service, or take note of how far it has come."""
        if delivery.verb != "SEND" or delivery.sender.startswith("client/"):
            _refuse(delivery, "denied", "services alone are registered")
        elif message.journal != journal or message.cursor > head:
            _refuse(delivery, "conflict", f"event {message.cursor} of journal {message.journal} is not one of ours")
        elif message.cursor < self.floor:
            _refuse(delivery, "floor", f"events up to {self.floor} are gone")
        else:
            self._register(message, delivery, head, now)

    def _register(self, message: Consumed, delivery: Delivery, head: int, now: int) -> None:
        is_new = not self._consumers.knows(message.name)
        if why := self._consumers.hear(message.name, message.cursor, now):
            _refuse(delivery, "bad_request", why)
            return
        try:
            if is_new:
                # where it is only moved the next tidying writes it: an older place keeps more, never less
                self._keep()
        except sqlite3.OperationalError as error:
            _refuse(delivery, "busy", f"it cannot be written now: {error}")
            return
        delivery.ok(Registered(floor=self.floor, head=head))

    def _keep(self) -> None:
        text = self._consumers.text()
        if text != self._written:
            self._tables.put_meta(KEY, text)
            self._written = text


def _refuse(delivery: Delivery, code: str, message: str) -> None:
    delivery.no(code, Failed(code=code, message=message))
