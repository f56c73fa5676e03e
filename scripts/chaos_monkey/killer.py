"""Deals the blows of a plan, and notes whom each has met, so that what is true of a run can be told afterwards."""

import random
import shutil
import signal
import subprocess
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from apsis_services.supervisor.zygote.identity import Identity, signal_verified, start_ticks
from chaos_monkey.plan import SERVICES, Blow
from chaos_monkey.targets import Targets
from harness.installation import BIN, HarnessError, Installation
from harness.points import Points

#: seconds for which a point stays armed
ARMED: Final = 5.0
_TICK: Final = 0.02
#: seconds until a person notices that there is no manager
_AWAY: Final = 0.5


@dataclass(frozen=True, slots=True)
class Hit:
    """One process that was met."""

    #: seconds since the epoch, as journals and ledgers count
    at: float
    kind: str
    pid: int
    #: start ticks; None where a point was reached, which tells the pid alone
    ticks: int | None
    #: `kill`, `stop` or `sleep`
    verb: str
    point: str = ""


@dataclass(slots=True)
class Recovery:
    """From the death of a service until another process is ready in its place."""

    kind: str
    old: int
    since: float


@dataclass(slots=True)
class Armed:
    """A point that waits to be reached."""

    blow: Blow
    until: float
    at: float = field(default_factory=time.time)


class Killer:
    """Runs in a thread of its own from `begin` to `finish`."""

    def __init__(self, installation: Installation, targets: Targets, failpoints: Points, seed: int) -> None:
        self.hits: list[Hit] = []
        #: points that nobody reached in time
        self.missed: list[str] = []
        #: kind of service: seconds until another one was ready
        self.recoveries: defaultdict[str, list[float]] = defaultdict(list)
        self.done = 0
        self.broken: BaseException | None = None
        self._installation = installation
        self._targets = targets
        self._failpoints = failpoints
        self._dice = random.Random(f"{seed} whom")
        self._armed: dict[str, Armed] = {}
        self._stopped: list[tuple[float, Identity]] = []
        self._recovering: list[Recovery] = []
        self._starts: list[subprocess.Popen[bytes]] = []
        self._start_at: float | None = None
        self._over = threading.Event()

    def begin(self, blows: list[Blow], began: float) -> None:
        """Deal the blows; `began` is the monotonic time of the plan's beginning."""
        self._thread = threading.Thread(target=self._guarded, args=(sorted(blows, key=lambda blow: blow.at), began))
        self._thread.start()

    def finish(self) -> None:
        """Deal no more blows, let go of who is stopped, and see that a manager runs."""
        self._over.set()
        self._thread.join()
        for name in list(self._armed):
            (self._failpoints.folder / name).unlink(missing_ok=True)
        for _, identity in self._stopped:
            signal_verified(*identity, signal.SIGCONT)

    @property
    def idle(self) -> bool:
        """Whether all blows are dealt, nobody is stopped and no point is armed."""
        return not (self._thread.is_alive() and self._busy)

    def _guarded(self, blows: list[Blow], began: float) -> None:
        try:
            self._run(blows, began)
        except BaseException as error:
            self.broken = error
            raise

    def _run(self, blows: list[Blow], began: float) -> None:
        waiting = list(blows)
        self._busy = True
        while not self._over.is_set():
            now = time.monotonic()
            while waiting and began + waiting[0].at <= now:
                self._deal(waiting.pop(0), now)
            self._turn(now)
            self._busy = bool(waiting or self._armed or self._stopped or self._start_at is not None)
            time.sleep(_TICK)

    def _turn(self, now: float) -> None:
        self._reached()
        for name, armed in list(self._armed.items()):
            if now > armed.until:
                self._disarm(name, armed, now)
        for due, identity in [one for one in self._stopped if one[0] <= now]:
            signal_verified(*identity, signal.SIGCONT)
            self._stopped.remove((due, identity))
        self._recover(now)
        self._starts = [one for one in self._starts if one.poll() is None]
        if self._start_at is None and not self._starts and self._targets.service("manager") is None:
            # killed; or ended by a start that gave up, because services died under it
            self._start_at = now + _AWAY
        if self._start_at is not None and now >= self._start_at and not self._starts:
            self._start_manager(now)

    # Blows

    def _deal(self, blow: Blow, now: float) -> None:
        if blow.kind == "point" and blow.point not in self._armed:
            word = f"sleep {blow.seconds / 2}" if blow.verb == "sleep" else blow.verb
            self._armed[blow.point] = Armed(blow, now + ARMED)
            self._failpoints.arm(blow.point, word)
            return
        self._hit(blow, now)

    def _hit(self, blow: Blow, now: float) -> None:
        """Meet one process of the blow's kind; where there is none now, one of another."""
        for kind in (blow.target, "shim", "supervisor", "scheduler", "hub", "store", "web"):
            identity = self._targets.find(kind, self._dice)
            if identity is None:
                continue
            verb = "stop" if blow.kind == "stop" else "kill"
            if signal_verified(*identity, signal.SIGSTOP if verb == "stop" else signal.SIGKILL):
                self._note(Hit(time.time(), kind, identity.pid, identity.ticks, verb), blow, now)
                return

    def _disarm(self, name: str, armed: Armed, now: float) -> None:
        try:
            (self._failpoints.folder / name).unlink()
        except FileNotFoundError:
            return  # reached at this very moment
        del self._armed[name]
        self.missed.append(name)
        self._hit(armed.blow, now)

    def _reached(self) -> None:
        """Take note of the points that were reached: whoever did has left the file with its pid."""
        for path in list((self._failpoints.folder / "reached").iterdir()):
            name, _, pid = path.name.rpartition(".")
            armed = self._armed.pop(name)
            kind = armed.blow.target
            ticks = start_ticks(int(pid))
            self._note(
                Hit(path.stat().st_ctime, kind, int(pid), ticks, armed.blow.verb, name), armed.blow, time.monotonic()
            )
            path.unlink()

    def _note(self, hit: Hit, blow: Blow, now: float) -> None:
        self.done += 1
        self.hits.append(hit)
        if hit.verb == "stop" and hit.ticks is not None:
            self._stopped.append((now + blow.seconds, Identity(hit.pid, hit.ticks)))
        if hit.verb == "kill" and hit.kind in SERVICES:
            self._recovering.append(Recovery(hit.kind, hit.pid, now))
            if hit.kind == "manager":
                self._start_at = now + blow.away

    # Coming back

    def _recover(self, now: float) -> None:
        for recovery in list(self._recovering):
            info = self._targets.service(recovery.kind)
            if info is not None and info.ready and info.pid != recovery.old:
                self.recoveries[recovery.kind].append(now - recovery.since)
                self._recovering.remove(recovery)

    def _start_manager(self, now: float) -> None:
        """Start the manager again as a person would; where that fails under further blows, once more."""
        if self._targets.service("manager") is not None:
            self._start_at = None
            return
        self._starts.append(
            subprocess.Popen(
                [BIN / "apsisctl", "start", "--port", "0"],
                env=self._installation.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        self._start_at = now + 1.0

    def bring_back(self, seconds: float) -> None:
        """After the storm: have all services ready.

        Raises:
            HarnessError: they are not, in that many seconds.
        """
        deadline = time.monotonic() + seconds
        for start in self._starts:
            start.wait(timeout=90)
        while True:
            try:
                self._installation.start()
            except HarnessError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return


def make_failpoints(folder: Path) -> Points:
    """Make the folder in which points are armed, with the one in which who reached them is left."""
    shutil.rmtree(folder, ignore_errors=True)
    points = Points(folder)
    (folder / "reached").mkdir()
    return points
