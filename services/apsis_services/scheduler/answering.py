"""Answers what anyone may ask of the scheduler, REPLAY and SNAP: in a thread, and not more than it can.

Whoever is in the home's group may ask, so nothing that is asked may cost more than an answer.
"""

import asyncio
import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Final

from apsis.messages.events import Page, Replay
from apsis.messages.requests import Failed
from apsis.messages.snapshots import Snap, Snapshot
from apsis_bus.peer import Delivery
from apsis_services.scheduler.replay import Floor, Replayer
from apsis_services.scheduler.snapshots import BadQuestion

log = logging.getLogger("scheduler")

#: questions that wait for the thread, of all and of one peer; one more is `busy`
WAITING: Final = 64
WAITING_OF_ONE: Final = 8

Spawns = Callable[[Coroutine[None, None, None]], None]


class Answering:
    """Takes questions and answers each once."""

    def __init__(self, replayer: Replayer, spawn: Spawns) -> None:
        self._replayer = replayer
        self._spawn = spawn
        self._waiting: Counter[str] = Counter()

    def take(self, message: Replay | Snap, delivery: Delivery) -> None:
        """Answer a question as soon as the thread has come to it."""
        if self._waiting.total() >= WAITING or self._waiting[delivery.sender] >= WAITING_OF_ONE:
            delivery.no("busy", Failed(code="unavailable", message="too much is asked at once", hint="ask again later"))
            return
        self._waiting[delivery.sender] += 1
        self._spawn(self._answer(message, delivery))

    async def _answer(self, message: Replay | Snap, delivery: Delivery) -> None:
        loop = asyncio.get_running_loop()
        try:
            delivery.ok(await loop.run_in_executor(self._replayer.thread, self._read, message))
        except Floor as floor:
            delivery.no("floor", Failed(code="floor", message=str(floor), hint="take a snapshot, and go on from there"))
        except BadQuestion as error:
            delivery.no("bad_request", Failed(code="bad_request", message=str(error)))
        except sqlite3.DatabaseError as error:
            log.warning("the event journal cannot be read: %s", error, extra={"event": "unreadable"})
            delivery.no("busy", Failed(code="unavailable", message=f"the event journal cannot be read: {error}"))
        finally:
            self._waiting[delivery.sender] -= 1
            if not self._waiting[delivery.sender]:
                del self._waiting[delivery.sender]

    def _read(self, message: Replay | Snap) -> Page | Snapshot:
        return self._replayer.page(message) if isinstance(message, Replay) else self._replayer.snapshot(message)
