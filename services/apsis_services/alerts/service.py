"""The service for alerts: reads how runs end, decides who is told of it, and goes on until they have been told."""

import asyncio
import sqlite3
import time
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Final

from apsis.actions.configured import read_configured
from apsis.actions.email import address
from apsis.extensions import target
from apsis.messages.alerts import (
    AlertsRetried,
    AlertsState,
    AlertTested,
    AskAlerts,
    DeadLetter,
    RetryAlerts,
    TestAlert,
)
from apsis.messages.requests import Failed
from apsis.times import format_time
from apsis_bus.lock import read_lock
from apsis_bus.peer import Delivery, Peer
from apsis_bus.service import Service
from apsis_services.alerts import outputs
from apsis_services.alerts.courier import Courier
from apsis_services.alerts.decisions import Decider
from apsis_services.alerts.flood import Flood
from apsis_services.alerts.ledger import Ledger
from apsis_services.alerts.letters import Letter, target_of
from apsis_services.alerts.noting import Noting
from apsis_services.alerts.orders import Order, Outcome, Verdict
from apsis_services.alerts.reader import Reader
from apsis_services.alerts.workers import Workers
from apsis_services.alerts.writing import Writing

#: below the home's folder for databases
FILE: Final = "alerts.db"
#: dead letters that one answer holds
_LETTERS: Final = 200
_TIDY: Final = 3600.0
#: seconds after which what an earlier process has gathered is summed up
_SUM_UP_AFTER: Final = 2.0


class Alerts(Service):
    """Owns the ledger of what is to be delivered."""

    name = "alerts"

    async def start(self) -> None:
        """Open the ledger, join the bus, and go on where the last one stopped."""
        self._open = False
        everywhere = [action.to_json() for action in read_configured(self.config.action, str(self.home.config))]
        self._actions = [action for action in everywhere if action["type"] != "schedule"]
        self._ledger = Ledger(self.home.root / "db" / FILE, time.time())
        self._peer = Peer(self.home, self.name)
        self._workers = Workers()
        self._writing = Writing()
        alerts = self.config.alerts
        flood = Flood(alerts.max_per_minute)
        flood.gathering.update(dict.fromkeys(self._ledger.gathering(), time.time() + _SUM_UP_AFTER))
        self._noting = Noting(self._peer, self._ledger, self._writing)
        self._courier = Courier(
            self._ledger, flood, self._writing, self._deliver, self._noting.look, alerts.give_up
        )  # fmt: skip
        decider = Decider(everywhere, self._url)
        self._reader = Reader(self._peer, self._ledger, decider, flood, self._writing, self._courier.look)
        self._open = True
        self._peer.handle(self.take)
        self._peer.on_connected.append(self._noting.look)
        await self._peer.connect()
        self._reader.start()
        self._tasks = [
            self.background(self._reader.run(), "read"),
            self.background(self._reader.register(), "register"),
            self.background(self._noting.run(), "note"),
            self.background(self._tidy(), "tidy"),
        ]
        self._courier.look()

    async def stop(self) -> None:
        """Close everything; what is not written down as delivered comes again."""
        if not self._open:
            return
        self._open = False
        self._courier.close()
        for task in getattr(self, "_tasks", []):
            task.cancel()
        await self._workers.close()
        await self._peer.close()
        self._ledger.close()

    # What people ask, through web

    def on_ask(self, message: AskAlerts, delivery: Delivery) -> None:
        """Answer how it goes."""
        waiting, dead, oldest = self._ledger.counts()
        letters = self._ledger.dead(max(0, min(message.limit, _LETTERS)))
        delivery.ok(
            AlertsState(
                waiting=waiting,
                dead=dead,
                oldest=_time(oldest) if oldest is not None else "",
                problems=[self._writing.trouble] if self._writing.trouble else [],
                letters=[_dead(letter, attempts, done, why) for letter, attempts, done, why in letters],
            )
        )

    def on_retry(self, message: RetryAlerts, delivery: Delivery) -> None:
        """Have dead letters tried again."""
        try:
            count = self._ledger.revive(message.event_ids, time.time())
        except sqlite3.OperationalError as error:
            delivery.no("unavailable", Failed(code="unavailable", message=f"it cannot be written down: {error}"))
            return
        delivery.ok(AlertsRetried(count=count))
        self._courier.try_again()

    def on_test(self, message: TestAlert, delivery: Delivery) -> None:
        """Send a test alert, and answer with what came of it."""
        try:
            letter = self._test_letter(message)
        except ValueError as error:
            delivery.no("bad_request", Failed(code="bad_request", message=str(error), loc="to"))
            return
        self.background(self._test(letter, delivery), "test alert")

    def _test_letter(self, message: TestAlert) -> Letter:
        if message.to:
            action: dict[str, Any] = {"type": "email", "to": [address(message.to)]}
        elif 0 <= message.index < len(self._actions):
            action = {key: value for key, value in self._actions[message.index].items() if key != "if"}
        else:
            raise ValueError(
                f"the config has {len(self._actions)} actions that send something, and none is number {message.index}"
            )
        event_id = f"test-{token_hex(8)}"
        now = _time(time.time())
        facts: dict[str, Any] = dict.fromkeys(
            ("exit_code", "signal", "elapsed", "late_by", "started", "host", "attempt")
        )  # fmt: skip
        words = {"event": "test", "state": "failure", "reason": "this is a test: no run has failed", "ended": now}
        facts |= {**words, "event_id": event_id, "labels": [], "url": self._url()}
        to, shown = target_of(action)
        return Letter(
            event_id=event_id, origin=event_id, target=to, shown=shown, run_id="r0", job_id="test", action=action,
            facts=facts,
        )  # fmt: skip

    async def _test(self, letter: Letter, delivery: Delivery) -> None:
        outcome = await self._deliver(letter)
        done = outcome.verdict is Verdict.DELIVERED
        delivery.ok(AlertTested(event_id=letter.event_id, target=letter.shown, delivered=done, text=outcome.text))

    # What is done

    async def _deliver(self, letter: Letter) -> Outcome:
        output, remark = None, ""
        if outputs.is_wanted(letter):
            output, remark = await outputs.fetch(self._peer, letter)
        config = self.config
        order = Order(
            letter=letter,
            home=str(self.home.root),
            job_dir=str(config.job_dir),
            smtp=config.smtp,
            timeout=config.alerts.timeout,
            allow=[*config.alerts.allow, *config.http.allow_private],
            secrets=config.secrets,
            path=target(letter.kind, "action") or "",
            output=output,
            remark=remark,
        )
        return await self._workers.deliver(order)

    def _url(self) -> str:
        """Return where people reach the page: as the config says, else where it listens."""
        if self.config.alerts.url:
            return self.config.alerts.url.rstrip("/")
        lock = read_lock(self.home.lock("web"))
        return (lock.address or "") if lock is not None else ""

    async def _tidy(self) -> None:
        while True:
            more = True
            while more:
                try:
                    more = self._ledger.tidy(time.time())
                except sqlite3.OperationalError as error:
                    more = False
                    self._writing.complain(error)
                await asyncio.sleep(0.1)
            await asyncio.sleep(_TIDY)


def _time(seconds: float) -> str:
    return format_time(datetime.fromtimestamp(seconds, UTC))


def _dead(letter: Letter, attempts: int, done: float, why: str) -> DeadLetter:
    return DeadLetter(
        event_id=letter.event_id,
        run_id=letter.run_id,
        job_id=letter.job_id,
        kind=letter.kind,
        target=letter.shown,
        attempts=attempts,
        at=str(letter.facts["ended"]),
        given_up=_time(done),
        why=why,
    )
