"""Ending runs: the order goes to whoever holds the run; where nobody takes it, the tree and the tag are ended here."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Final

from apsis.messages.dispatch import Signal, Stop
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.outputs.spoolfile import SpoolFolder
from apsis_services.supervisor.watching.orphans import find_tagged
from apsis_services.supervisor.watching.verdicts import streams_of
from apsis_services.supervisor.watching.watch import Watch
from apsis_services.supervisor.zygote import cgroup
from apsis_services.supervisor.zygote.identity import Identity, Stat, boot_id, read_stat, signal_verified
from apsis_services.supervisor.zygote.journal import JournalState, read_journal
from apsis_services.supervisor.zygote.journal_file import take_over
from apsis_services.supervisor.zygote.keeper import group_of
from apsis_services.supervisor.zygote.ladder import KILL_SECONDS, LEFTOVER_GRACE
from apsis_services.supervisor.zygote.orders import SignalOrder, StopOrder, notify, read_stop, write_signal, write_stop
from apsis_services.supervisor.zygote.processes import descendants, live_stats, signal_all
from apsis_services.supervisor.zygote.records import Record
from apsis_services.supervisor.zygote.stamps import stamp_now

#: seconds in which a holder takes an order before it is bypassed
TAKE: Final = 2.0
#: seconds between two looks at processes that are to end
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
        self._boot = boot_id()
        self._tasks: set[asyncio.Task[None]] = set()

    def stop(self, key: Key, order: Stop) -> None:
        """End a run by its ladder, with the order's signal and grace. When this returns it is written down."""
        stop = StopOrder(order.signal, order.grace, order.by)
        self._spawn(self._see_to(key, stop, self._give(key, lambda folder: write_stop(folder, stop))))

    def send(self, key: Key, order: Signal) -> None:
        """Send one signal to the program's group. When this returns it is written down."""
        signalled = SignalOrder(order.dispatch, order.signal, order.by)
        failed = self._give(key, lambda folder: write_signal(folder, signalled))
        state = self._read(key)
        if failed is not None:
            log.warning("run %s: a signal cannot be handed over (%s); it is sent directly", key.run_id, failed.strerror)
        program = self._program(state)
        if (failed is not None or not state.locked) and program is not None:
            signal_verified(*program, order.signal)

    def resume(self, key: Key) -> None:
        """Go on with a stop that a supervisor before this one has written down, and perhaps nobody has read."""
        try:
            order = read_stop(self._folder(key))
        except (OSError, ValueError, KeyError):
            return  # its shim has logged what is wrong with it
        if order is not None:
            self._spawn(self._see_to(key, order, self._tell(key)))

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

    def _folder(self, key: Key) -> str:
        return str(self._spool / "runs" / str(key))

    def _read(self, key: Key) -> JournalState:
        return read_journal(self._spool / "journals" / f"{key}.j")

    def _give(self, key: Key, write: Callable[[str], None]) -> OSError | None:
        """Write an order and have it read; return why it could not be.

        At once, before anybody is told that the order was taken: a supervisor that is killed right after must not
        have lost it. Where the shim has not made the run's folder yet, it finds ours, with the order in it.
        """
        if self._read(key).phase not in ("claim", "started", "result"):
            return None
        folder = self._folder(key)
        try:
            try:
                write(folder)
            except FileNotFoundError:
                with contextlib.suppress(FileExistsError):
                    Path(folder).mkdir(mode=0o750)
                write(folder)
        except OSError as error:
            return error
        return self._tell(key)

    def _tell(self, key: Key) -> OSError | None:
        """Have a run's holder read its orders."""
        try:
            notify(self._read(key))
        except PermissionError as error:
            return error
        return None

    async def _see_to(self, key: Key, order: StopOrder, failed: OSError | None) -> None:
        """See that a stop is obeyed; where it is not, end the run's processes from here."""
        if failed is None:
            await asyncio.sleep(TAKE)
            why = "its shim does not take the stop"
            state = self._watch.look(key, probe=True)
            if _was_taken(state):
                return
        else:
            # a full disk must not keep a run from being stopped: its shim still writes how it ended
            why = f"the stop cannot be handed over ({failed.strerror})"
            state = self._watch.look(key, probe=True)
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

    # Ending processes without a shim

    def _program(self, state: JournalState) -> Identity | None:
        """Return who the main program is; None: it has none, or one of a past boot, whose pid and ticks say nothing."""
        if state.pid and state.ticks and state.boot == self._boot:
            return Identity(state.pid, state.ticks)
        return None

    def _rest(self, key: Key) -> list[Stat]:
        """Return what lives of a run: below its holder, or with its tag, or the program itself."""
        state = self._watch.look(key)
        stats = list(live_stats())
        holder = state.holder
        ours = state.boot == self._boot
        shim = read_stat(holder.pid) if holder and ours and state.adopted is None else None
        found = descendants([shim.pid], stats) if shim and holder and shim.ticks == holder.ticks else []
        known = {stat.identity for stat in found}
        tagged: set[Identity] = set(find_tagged(self._epoch, [key])[key])
        program = self._program(state)
        if program is not None:
            tagged.add(program)
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
        group = group_of(state.claim) if state.claim is not None else None
        while (rest := self._rest(key)) and loop.time() < deadline:
            if group is not None:
                cgroup.kill(group)
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
