"""The processes of one home: which there are, and signals that reach the very one that was meant."""

import contextlib
import os
import random
from pathlib import Path

import msgspec

from apsis_bus.lock import LockInfo
from apsis_services.supervisor.zygote.identity import Identity, read_stat, start_ticks
from apsis_services.supervisor.zygote.journal import read_journal
from chaos_monkey.ledger import Ledger


def ask_lock(path: Path) -> LockInfo | None:
    """Return what the living holder of a lock wrote; None: it has ended. The lock itself is not touched."""
    try:
        info = msgspec.json.decode(path.read_bytes(), type=LockInfo)
    except (FileNotFoundError, msgspec.DecodeError):  # being written at this moment
        return None
    stat = read_stat(info.pid)
    # one that was killed and not yet waited for still has its pid
    return info if stat is not None and stat.living and stat.ticks == info.ticks else None


class Targets:
    """Finds the processes of a home by kind."""

    def __init__(self, home: Path, ledger: Ledger) -> None:
        self.home = home
        self._ledger = ledger

    def service(self, kind: str) -> LockInfo | None:
        """Return the living process of a service, or the newest zygote; None: there is none just now."""
        paths = sorted((self.home / "run").glob(f"{kind}*.lock"), reverse=True)
        return next((info for path in paths if (info := ask_lock(path)) is not None), None)

    def find(self, kind: str, dice: random.Random) -> Identity | None:
        """Return one living process of a kind; of shims and programs any."""
        if kind == "shim":
            shims = sorted(self._shims())
            return dice.choice(shims) if shims else None
        if kind == "program":
            return self._program(dice)
        info = self.service(kind)
        return Identity(info.pid, info.ticks) if info else None

    def _shims(self) -> list[Identity]:
        """Return who holds a journal that is not settled, the zygote aside."""
        found = []
        for path in (self.home / "spool" / "journals").glob("*.j"):
            state = read_journal(path)
            if state.locked and not state.settled and state.claim is not None and state.adopted is None:
                found.append(Identity(state.claim["pid"], state.claim["ticks"]))
        return found

    def _program(self, dice: random.Random) -> Identity | None:
        living = sorted(self._ledger.living().items())
        dice.shuffle(living)
        for run_id, pid in living:
            ticks = start_ticks(pid)
            if ticks is not None and f"APSIS_RUN_ID={run_id}".encode() in environment(pid):
                return Identity(pid, ticks)
        return None

    def everybody(self, work: Path) -> list[Identity]:
        """Return every living process with the storm's own folder in its command line or its environment."""
        name = str(work).encode() + b"/"
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                stat = read_stat(int(entry.name))
                if stat and stat.living and name in (entry / "cmdline").read_bytes() + environment(stat.pid):
                    found.append(stat.identity)
        return found


def environment(pid: int) -> bytes:
    """Return a process's environment as it was set at its start; nothing where it may not be read."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def command_line(pid: int) -> str:
    """Return what a process is, for a person."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[-160:]
    except OSError:
        return ""
