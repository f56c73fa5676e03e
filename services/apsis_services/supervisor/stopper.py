"""Ending runs: the order goes to whoever holds the run; where nobody takes it, the tree and the tag are ended here."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Final

from apsis.messages.dispatch import Signal, Stop
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.orphans import find_tagged
from apsis_services.supervisor.spoolfile import SpoolFolder
from apsis_services.supervisor.verdicts import streams_of
from apsis_services.supervisor.watch import Watch
from apsis_services.supervisor.zygote.identity import Identity, Stat, read_stat, signal_verified
from apsis_services.supervisor.zygote.journal import JournalState
from apsis_services.supervisor.zygote.journal_file import take_over
from apsis_services.supervisor.zygote.ladder import KILL_SECONDS, LEFTOVER_GRACE
from apsis_services.supervisor.zygote.orders import SignalOrder, StopOrder, notify, write_signal, write_stop
from apsis_services.supervisor.zygote.processes import descendants, live_stats, signal_all
from apsis_services.supervisor.zygote.records import Record
from apsis_services.supervisor.zygote.stamps import stamp_now

#: seconds in which a holder takes an order before it is bypassed
TAKE: Final = 2.0
#: seconds between two looks at a folder that the shim has not made yet, and at processes that are to end
PAUSE: Final = 0.05
#: seconds that a bypassed holder has to write down the end, before it is ended itself and its zygote does
WRITE: Final = 3.0

log = logging.getLogger("supervisor")


class Stopper:
    """Carries out stops and signals, each in a task of its own; none of them outlives the supervisor's end."""

    def __init__(self, spool: Path, epoch: str, watch: Watch) -> None:
        self._spool = spool
        self._epoch = epoch
        self._watch = watch
        self._tasks: set[asyncio.Task[None]] = set()

    def stop(self, key: Key, order: Stop) -> None:
        """End a run by its ladder, with the order's signal and grace."""
        self._spawn(self._stop(key, StopOrder(order.signal, order.grace, order.by)))

    def send(self, key: Key, order: Signal) -> None:
        """Send one signal to the program's group."""
        self._spawn(self._send(key, SignalOrder(order.dispatch, order.signal, order.by)))

    def finish(self, key: Key, state: JournalState) -> None:
        """End what a run with a result left behind, and write `done`: its shim and zygote are gone."""
        self._spawn(self._finish(key, state))

    def close(self) -> None:
        """Give up what is under way; the orders that are written stay in force."""
        for task in self._tasks:
            task.cancel()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an order could not be carried out", exc_info=error, extra={"event": "order_failed"})

    async def _stop(self, key: Key, order: StopOrder) -> None:
        try:
            state = await self._hand_over(key, lambda folder: write_stop(folder, order))
        except OSError as error:
            # a full disk must not keep a run from being stopped: its shim still writes how it ended
            why = f"the stop cannot be written down ({error.strerror})"
            state = self._watch.look(key, probe=True)
        else:
            if state is None:
                return
            await asyncio.sleep(TAKE)
            why = "its shim does not take the stop"
            state = self._watch.look(key, probe=True)
            if _was_taken(state):
                return
        if state.phase not in ("claim", "started"):
            return
        log.warning(
            "run %s: %s; its processes are ended directly", key.run_id, why,
            extra={"event": "shim_bypassed", "run": key.run_id},
        )  # fmt: skip
        if state.holder is not None and state.locked:
            # One that was merely stopped goes on, and writes the true status.
            signal_verified(*state.holder, signal.SIGCONT)
        await self._end(key, order.signal, order.grace)
        await asyncio.sleep(WRITE)
        state = self._watch.look(key, probe=True)
        if state.locked and state.holder is not None and not state.settled and not _was_taken(state):
            # Its zygote inherits the program's status and writes it.
            signal_verified(*state.holder, signal.SIGKILL)

    async def _send(self, key: Key, order: SignalOrder) -> None:
        try:
            state = await self._hand_over(key, lambda folder: write_signal(folder, order))
            taken = state is None or state.locked
        except OSError as error:
            log.warning("run %s: a signal cannot be written down (%s); it is sent directly", key.run_id, error.strerror)
            state, taken = self._watch.look(key, probe=True), False
        if state is not None and not taken and state.pid and state.ticks:
            signal_verified(state.pid, state.ticks, order.signal)

    async def _hand_over(self, key: Key, write: Callable[[str], None]) -> JournalState | None:
        """Write an order and have it read; None: the run has ended. Waits for the shim to make its folder."""
        folder = str(self._spool / "runs" / str(key))
        while True:
            state = self._watch.look(key, probe=True)
            if state.phase not in ("claim", "started", "result"):
                return None
            try:
                write(folder)
            except FileNotFoundError:
                if not state.locked:
                    return state
                await asyncio.sleep(PAUSE)
                continue
            notify(state)
            return state

    # Ending processes without a shim

    def _rest(self, key: Key) -> list[Stat]:
        """Return what lives of a run: below its holder, or with its tag, or the program itself."""
        state = self._watch.look(key)
        stats = list(live_stats())
        holder = state.holder
        shim = read_stat(holder.pid) if holder and state.adopted is None else None
        found = descendants([shim.pid], stats) if shim and holder and shim.ticks == holder.ticks else []
        known = {stat.identity for stat in found}
        tagged: set[Identity] = set(find_tagged(self._epoch, [key.run_id])[key.run_id])
        if state.pid and state.ticks:
            tagged.add(Identity(state.pid, state.ticks))
        return found + [stat for stat in stats if stat.identity in tagged - known]

    async def _end(self, key: Key, number: int, grace: float) -> int:
        """Signal what lives of a run, wait, then KILL in rounds; return how many are left."""
        loop = asyncio.get_running_loop()
        state = self._watch.look(key)
        rest = self._rest(key)
        signal_all([stat for stat in rest if stat.group == state.pid] or rest, number)
        deadline = loop.time() + grace
        while (rest := self._rest(key)) and loop.time() < deadline:  # noqa: ASYNC110 - nothing tells of their end
            await asyncio.sleep(min(4 * PAUSE, max(deadline - loop.time(), 0.001)))
        deadline = loop.time() + KILL_SECONDS
        while (rest := self._rest(key)) and loop.time() < deadline:
            signal_all(rest, signal.SIGKILL)
            await asyncio.sleep(PAUSE)
        return len(rest)

    async def _finish(self, key: Key, state: JournalState) -> None:
        left = len(self._rest(key))
        leftovers = 0
        if state.claim is not None and state.claim["leftovers"] == "kill" and left:
            leftovers = await self._end(key, signal.SIGTERM, LEFTOVER_GRACE)
            left = 0
        held = take_over(str(self._spool / "journals" / f"{key}.j"))
        if held is None:
            return
        journal, records = held
        try:
            if any(record["e"] == "done" for record in records) or state.claim is None or state.result is None:
                return
            folder = SpoolFolder(self._spool / "runs" / str(key))
            done: Record = {
                "e": "done",
                "at": stamp_now(),
                "rusage": state.result["rusage"],
                "leftovers": leftovers,
                "left": left,
                "outputs": {name: folder.size(name) for name in streams_of(state)},
            }
            journal.append(done)
        finally:
            journal.close()


def _was_taken(state: JournalState) -> bool:
    """Whether the holder lives and has taken the signal that an order waits: it is pending no more."""
    if not state.locked or state.holder is None:
        return False
    stat = read_stat(state.holder.pid)
    if stat is None or stat.identity != state.holder or stat.state in "TtZX":
        return False
    return not _is_pending(stat.pid, signal.SIGUSR1)


def _is_pending(pid: int, number: int) -> bool:
    try:
        fd = os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        text = os.read(fd, 16384)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    fields = dict(line.split(b":", 1) for line in text.splitlines() if b":" in line)
    pending = int(fields[b"ShdPnd"], 16) | int(fields[b"SigPnd"], 16)
    return bool(pending >> (number - 1) & 1)
