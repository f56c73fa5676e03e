"""The evaluator: a process that has conditions looked at, and tells the scheduler what is found.

`python -m apsis_services.scheduler.conditions.evaluator`, started by the scheduler where a run waits for something
that somebody must look at. What users bring runs in its workers, never here; so it answers whatever they do. It ends
when its input does, with everything that it has started.
"""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from apsis.failpoints import reach
from apsis.times import format_time
from apsis_services.scheduler.conditions.agenda import Agenda, Item
from apsis_services.scheduler.conditions.linux import inherit_orphans
from apsis_services.scheduler.conditions.pool import Pool, Worker
from apsis_services.scheduler.conditions.trees import VARIABLE, end_remains
from apsis_services.scheduler.conditions.watches import Watches
from apsis_services.scheduler.conditions.wire import Alive, Ask, Drop, Found, Outcome, Unframed, framed

#: classes that wait by themselves, each in a process of its own
WAITS_AT_MOST: Final = 100
#: seconds between two signs of life
ALIVE: Final = 5.0
#: seconds after a change of a watched file before it is looked at: one write is many changes
_CALM: Final = 0.2
#: seconds to the next look, where a condition does not say
_AGAIN: Final = 10.0


class Evaluator:
    """Keeps what is asked, the workers, and the watches together."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._agenda = Agenda()
        self._pool = Pool(WAITS_AT_MOST)
        self._busy: dict[str, Worker] = {}
        #: runs whose look has not answered the last time, and is under way
        self._slow: set[str] = set()
        self._watches = Watches()
        self._loop.add_reader(self._watches.descriptor, self._changed)
        self._timer: asyncio.TimerHandle | None = None
        self._out = sys.stdout.buffer

    def hear(self, body: Ask | Drop) -> None:
        """Take what the scheduler says."""
        self._leave(body.run_id)
        if isinstance(body, Ask):
            self._agenda.ask(body)
        self._go_on()

    def close(self) -> None:
        """End everything."""
        self._pool.close()
        self._watches.close()

    def say_alive(self) -> None:
        """Give a sign of life, and plan the next."""
        self._say(Alive())
        self._loop.call_later(ALIVE, self.say_alive)

    def _leave(self, run_id: str) -> None:
        """Look no more at what a run waited for."""
        self._agenda.drop(run_id)
        self._watches.drop(run_id)
        self._slow.discard(run_id)
        worker = self._busy.pop(run_id, None)
        if worker is not None:
            self._pool.end(worker)

    def _go_on(self) -> None:
        """Begin what is due, as far as there are places, and plan when to do so next."""
        while (item := self._agenda.due(self._loop.time(), self._pool.busy, len(self._slow))) is not None:
            self._begin(item)
        at = self._agenda.next_time()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._go_on) if at is not None else None

    def _begin(self, item: Item) -> None:
        run_id = item.ask.run_id
        if item.silent:
            self._slow.add(run_id)

        def done(outcome: Outcome | None, why: str) -> None:
            self._busy.pop(run_id, None)
            self._slow.discard(run_id)
            if outcome is None:
                self._is_silent(item, why)
            else:
                self._has_answered(item, outcome)
            # not at once: whoever ended a worker is not done yet
            self._loop.call_soon(self._go_on)

        reach("evaluator.begins")
        try:
            self._busy[run_id] = self._pool.begin(item.ask, done)
        except OSError as error:
            # no process can be made: later
            done(None, f"no process can be made for it ({error.strerror})")

    def _has_answered(self, item: Item, outcome: Outcome) -> None:
        run_id = item.ask.run_id
        item.silent = 0
        if outcome.what != "waits":
            self._agenda.drop(run_id)
            self._watches.drop(run_id)
            self._say(Found(run_id=run_id, index=item.ask.index, what=outcome.what, text=outcome.text))
            return
        self._tell(item, outcome.text)
        again = outcome.again if outcome.again is not None else _AGAIN
        try:
            if self._watches.watch(run_id, outcome.watch or ()):
                # what has happened between the look and the watch is seen by a second look
                item.is_stale = True
        except OSError:
            again = min(again, item.ask.condition.get("interval", _AGAIN))
        self._agenda.later(item, self._loop.time() + again)

    def _is_silent(self, item: Item, why: str) -> None:
        """Look again at one that hangs, or whose process died, after a pause that grows."""
        item.silent += 1
        at = datetime.now(UTC) + timedelta(seconds=item.pause)
        self._tell(item, f"{why}; asked again at {format_time(at.replace(microsecond=0))}")
        self._agenda.later(item, self._loop.time() + item.pause)

    def _tell(self, item: Item, text: str) -> None:
        if item.told != text:
            item.told = text
            self._say(Found(run_id=item.ask.run_id, index=item.ask.index, what="waits", text=text))

    def _changed(self) -> None:
        changed = self._watches.changed()
        if changed:
            self._loop.call_later(_CALM, self._look_again, changed)

    def _look_again(self, run_ids: set[str]) -> None:
        for run_id in run_ids:
            self._agenda.soon(run_id)
        self._go_on()

    def _say(self, body: Found | Alive) -> None:
        try:
            self._out.write(framed(body))
            self._out.flush()
        except BrokenPipeError:
            self.close()
            os._exit(0)  # the scheduler is gone


async def evaluate() -> None:
    """Listen until the input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    evaluator = Evaluator()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, reader.feed_eof)
    evaluator.say_alive()
    frames = Unframed()
    try:
        while data := await reader.read(65_536):
            for body in frames.feed(data):
                evaluator.hear(msgspec.json.decode(body, type=Ask | Drop))
    finally:
        evaluator.close()


def main() -> None:
    """Clear away what one before has left, and be one."""
    inherit_orphans()
    end_remains(os.environ.get(VARIABLE, ""))
    asyncio.run(evaluate())


if __name__ == "__main__":
    main()
