"""The courier: has letters delivered, each target's one after the other, again and again until it is too late."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from apsis.failpoints import reach
from apsis_services.alerts.backoff import is_over, pause
from apsis_services.alerts.flood import Flood, summary
from apsis_services.alerts.ledger import Ledger, Waiting
from apsis_services.alerts.letters import Letter
from apsis_services.alerts.orders import Outcome, Verdict
from apsis_services.alerts.writing import Writing

log = logging.getLogger("alerts")

#: seconds: never sooner, so that a clock that jumps makes no busy loop
_SOONEST: Final = 0.01
_LATEST: Final = 600.0

#: makes one attempt
Delivers = Callable[[Letter], Awaitable[Outcome]]


class Courier:
    """Looks what is due, and has it delivered. `told` is called when there are new notes."""

    def __init__(
        self,
        ledger: Ledger,
        flood: Flood,
        writing: Writing,
        deliver: Delivers,
        told: Callable[[], None],
        give_up: float,
    ) -> None:
        self._ledger = ledger
        self._flood = flood
        self._writing = writing
        self._deliver = deliver
        self._told = told
        self._give_up = give_up
        self._busy: dict[str, asyncio.Task[None]] = {}
        #: target that could not be reached: how often in a row, and when it is tried again
        self._resting: dict[str, tuple[int, float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._open = True

    def close(self) -> None:
        """Begin nothing more, and break off what is under way: it comes again."""
        self._open = False
        if self._timer is not None:
            self._timer.cancel()
        for task in self._busy.values():
            task.cancel()

    def look(self) -> None:
        """Begin with what is due, and look again when the next is."""
        if not self._open:
            return
        now = time.time()
        try:
            self._sum_up(now)
            targets = self._ledger.targets()
        except sqlite3.OperationalError as error:
            self._writing.complain(error)
            self._look_in(1.0)
            return
        times = list(self._flood.gathering.values())
        for target, due in targets:
            at = max(due, self._resting.get(target, (0, 0.0))[1])
            if target in self._busy:
                continue
            if at <= now:
                task = asyncio.create_task(self._serve(target), name=f"deliver to {target}")
                self._busy[target] = task
                task.add_done_callback(partial(self._served, target))
            else:
                times.append(at)
        if times:
            self._look_in(min(times) - now)

    def try_again(self) -> None:
        """Rest no more: somebody wants it tried now."""
        self._resting.clear()
        self.look()

    def _look_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait = min(_LATEST, max(_SOONEST, seconds))
        self._timer = asyncio.get_running_loop().call_later(wait, self.look)

    def _sum_up(self, now: float) -> None:
        for target in self._flood.due(now):
            letters = self._ledger.gathered(target)
            if letters:
                try:
                    self._ledger.sum_up(letters, summary(letters), now)
                except sqlite3.OperationalError:
                    self._flood.gathering[target] = now + 1.0
                    raise

    def _served(self, target: str, task: "asyncio.Task[None]") -> None:
        del self._busy[target]
        if not task.cancelled():
            if (error := task.exception()) is not None:
                raise error  # ends the process: the next one begins with what is written down
            self.look()

    async def _serve(self, target: str) -> None:
        while (waiting := self._ledger.next(target, time.time())) is not None:
            reach("alerts.sending")
            outcome = await self._deliver(waiting.letter)
            reach("alerts.sent")
            reachable = outcome.verdict is not Verdict.UNREACHABLE
            if reachable:
                self._resting.pop(target, None)
            await self._settle(waiting, outcome)
            reach("alerts.settled")
            self._told()
            if not reachable:
                await self._rest(target, outcome)
                return

    async def _settle(self, waiting: Waiting, outcome: Outcome) -> None:
        """Write down what came of an attempt, however long that takes: what has arrived must not be sent again."""
        now = time.time()
        letter, text = waiting.letter, outcome.text
        name = f"{letter.kind} to {letter.shown}" if letter.kind in ("email", "webhook") else f"action {letter.shown}"
        if outcome.verdict is Verdict.DELIVERED:
            await self._writing.insist(lambda: self._ledger.delivered(waiting, text, f"{name}: {text}", now))
            return
        attempts = waiting.attempts + 1
        over = outcome.verdict is Verdict.REFUSED or is_over(waiting.made, now, self._give_up)
        wait = pause(attempts, outcome.after)
        due = None if over else now + wait
        then = "given up" if over else f"again in {wait:.0f} s"
        note = f"{name}: attempt {attempts} failed: {text}; {then}"
        if over:
            log.warning(
                "an alert on %s is given up: %s", letter.run_id, f"{name}: {text}",
                extra={"event": "alert_given_up", "alert": letter.event_id},
            )  # fmt: skip
        await self._writing.insist(lambda: self._ledger.failed(waiting, text, note, due, now, outcome.left))

    async def _rest(self, target: str, outcome: Outcome) -> None:
        """Leave a target alone for a while, and give up what has waited for it too long."""
        now = time.time()
        failures = self._resting.get(target, (0, 0.0))[0] + 1
        self._resting[target] = (failures, now + pause(failures, outcome.after))
        for waiting in self._ledger.over(target, now - self._give_up):
            await self._settle(waiting, Outcome(verdict=Verdict.REFUSED, text=outcome.text))
