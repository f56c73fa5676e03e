"""What the bus tests play with: a real hub process, connected peers, and a scheduler's side of replay."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from apsis.home import Home
from apsis.messages.body import decode, encode
from apsis.messages.events import Event, Heartbeat, Page, Replay, SysEvent
from apsis.messages.snapshots import Snap, Snapshot
from apsis.runs.run import Run
from apsis.runs.states import State
from apsis_bus import topics
from apsis_bus.lock import read_lock
from apsis_bus.peer import Delivery, Peer

NOW = "2026-06-30T14:32:07.120000Z"


class HubProcess:
    """A hub that is started, killed and started again."""

    def __init__(self, home: Home, descriptors: int | None = None) -> None:
        """`descriptors`: how many it may have open; None: as many as the tests may."""
        self.home = home
        self._descriptors = descriptors
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        log = self.home.root / "hub.log"
        with log.open("ab") as stderr:
            command = [sys.executable, "-m", "apsis_bus.hub", "--home", str(self.home.root)]
            if self._descriptors is not None:
                command = ["sh", "-c", 'ulimit -n "$1"; shift; exec "$@"', "sh", str(self._descriptors), *command]
            self._process = subprocess.Popen(command, stderr=stderr, cwd="/")
        deadline = time.monotonic() + 10
        while True:
            info = read_lock(self.home.lock("hub"))
            if info is not None and info.ready and info.pid == self._process.pid:
                return
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        code = self._process.wait(10)
        self._process = None
        return code

    def wait(self) -> int:
        """Wait until it ends by itself; return its status."""
        assert self._process is not None
        code = self._process.wait(20)
        self._process = None
        return code

    def close(self) -> None:
        if self._process is not None:
            self.end(signal.SIGKILL)

    def log(self) -> str:
        return (self.home.root / "hub.log").read_text()


@asynccontextmanager
async def joined(home: Home, name: str, *, bulk: bool = False, epoch: str = "") -> AsyncIterator[Peer]:
    """A connected peer."""
    peer = Peer(home, name, bulk=bulk, epoch=epoch)
    await peer.connect(10)
    try:
        yield peer
    finally:
        await peer.close()


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for a condition with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.005)


def client_name(nonce: str = "test") -> str:
    return f"client/{os.getuid()}/{nonce}"


class Journal:
    """A scheduler's side of replay: a list of events behind a real peer."""

    def __init__(self, peer: Peer, number: int = 77, page: int = 50) -> None:
        self.peer = peer
        self.number = number
        self.floor = 0
        self.events: list[Event] = []
        #: what a snapshot shows, and rows of one page of it
        self.runs: list[Run] = []
        self.rows = 2
        self.asked = 0
        self.snaps: list[Snap] = []
        #: called before each page of a snapshot is answered
        self.before_page: Callable[[], None] = lambda: None
        self._page = page
        peer.handle(self._answer)

    @property
    def head(self) -> int:
        return len(self.events)

    def commit(self, count: int, *, publish: bool = True) -> None:
        for _ in range(count):
            event = SysEvent(id=self.head + 1, at=NOW, kind="reloaded", detail={"n": self.head + 1})
            self.events.append(event)
            if publish:
                self.peer.publish(topics.of_event(event), event.id, self.number, encode(event))

    def beat(self) -> None:
        beat = Heartbeat(journal=self.number, term=1, head=self.head, floor=self.floor, now=NOW)
        self.peer.publish(topics.HEARTBEAT, 0, self.number, encode(beat))

    def _answer(self, delivery: Delivery) -> None:
        if delivery.verb == "SNAP":
            self._answer_snap(delivery)
            return
        assert delivery.verb == "REPLAY"
        self.asked += 1
        since = decode(Replay, delivery.body).since
        if since < self.floor:
            delivery.no("floor")
            return
        events = self.events[since : since + self._page]
        last = events[-1].id if events else since
        delivery.ok(Page(journal=self.number, last=last, head=self.head, events=events))

    def _answer_snap(self, delivery: Delivery) -> None:
        snap = decode(Snap, delivery.body)
        self.snaps.append(snap)
        self.before_page()
        start = int(snap.after or 0)
        runs = self.runs[start : start + self.rows]
        end = start + len(runs)
        after = str(end) if end < len(self.runs) else None
        delivery.ok(Snapshot(journal=self.number, head=self.head, now=NOW, runs=runs, next=after))


def a_run(number: int) -> Run:
    """A run that goes on, as a snapshot has it."""
    return Run(run_id=f"r{number}", job_id="job", args={}, state=State.RUNNING, rev=1)
