"""A home with a real hub, a real supervisor and its zygote; scheduler and store are peers of the test itself."""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

from apsis.home import Home
from apsis.messages.body import decode
from apsis.messages.dispatch import (
    Ack,
    Answer,
    Answers,
    Command,
    Commands,
    Finished,
    FromSupervisor,
    HostHello,
    HostRoom,
    Process,
    Report,
    Reports,
    Start,
)
from apsis.messages.outputs import Chunk, Kept, OutputAck, OutputEnd
from apsis_bus.peer import Delivery, Peer
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.watching.orphans import find_tagged
from apsis_services.supervisor.zygote.identity import boot_id, read_stat
from apsis_services.supervisor.zygote.journal import parse_key

PYTHON = sys.executable
JOURNAL = 0x1234


class TestScheduler:
    """Sends commands again until they are answered, and commits reports in order."""

    __test__ = False

    def __init__(self, home: Home) -> None:
        self.peer = Peer(home, "scheduler")
        self.peer.handle(self._take)
        self.term = 1
        self.orders: dict[int, Command] = {}
        self.answers: dict[int, Answer] = {}
        self.reports: list[Report] = []
        self.hellos: list[HostHello] = []
        #: (hellos before it, what it said) of each word about the spool's disk
        self.rooms: list[tuple[int, str]] = []
        self.repeats = 0
        self.last = 0
        self.mute = False
        self.binding: tuple[str, str] | None = None

    def _take(self, delivery: Delivery) -> None:
        message = decode(FromSupervisor, delivery.body)
        if self.mute:
            return
        match message:
            case HostRoom():
                self.rooms.append((len(self.hellos), message.lack))
                delivery.ok(message)
            case HostHello():
                self.hellos.append(message)
                self.binding = (message.epoch, message.boot)
                self._ack(message.epoch)
                self.send_open()
            case Answers():
                self.answers |= {item.dispatch: item for item in message.items}
            case Reports():
                for report in message.items:
                    if report.seq == self.last + 1:
                        self.last = report.seq
                        self.reports.append(report)
                    elif report.seq <= self.last:
                        self.repeats += 1
                        assert report == self.reports[report.seq - 1], "a number got other content"
                self._ack(message.epoch)

    def _ack(self, epoch: str) -> None:
        nonce = self.hellos[-1].nonce if self.hellos else 0
        ack = Ack(journal=JOURNAL, term=self.term, epoch=epoch, seq=self.last, hello=nonce)
        self.peer.send("supervisor/local", ack)

    def commands(self, items: list[Command]) -> Commands:
        epoch, boot = self.binding or ("", "")
        return Commands(journal=JOURNAL, term=self.term, epoch=epoch, boot=boot, floor=0, items=items)

    def send_open(self) -> None:
        items = [order for dispatch, order in self.orders.items() if dispatch not in self.answers]
        for at in range(0, len(items), 64):
            self.peer.send("supervisor/local", self.commands(items[at : at + 64]))

    def order(self, make: Callable[[int], Command]) -> int:
        """Give a command its number and send it."""
        dispatch = len(self.orders) + 1
        self.orders[dispatch] = make(dispatch)
        if self.binding:
            self.send_open()
        return dispatch

    def start(self, run_id: str, *argv: str, args: dict[str, str] | None = None, **process: object) -> int:
        args = args or {}
        return self.order(
            lambda dispatch: Start(
                dispatch=dispatch,
                run_id=run_id,
                job_id="test/job",
                args=args,
                schedule_time="2026-01-01T00:00:00.000000Z",
                args_hash=hashlib.sha256(repr(sorted(args.items())).encode()).hexdigest(),
                process=Process(argv=list(argv), **process),  # type: ignore[arg-type]
            )
        )

    def of(self, run_id: str) -> list[Report]:
        return [report for report in self.reports if report.run_id == run_id]

    def end(self, run_id: str) -> Finished | None:
        return next((r for r in self.of(run_id) if isinstance(r, Finished)), None)


class TestStore:
    """Keeps the contiguous bytes of each stream in memory."""

    __test__ = False

    def __init__(self, home: Home) -> None:
        self.peer = Peer(home, "store", bulk=True)
        self.peer.handle(self._take)
        self.bytes: dict[tuple[str, str], bytearray] = {}
        self.gaps: list[Chunk] = []
        self.final: dict[str, dict[str, int]] = {}
        self.chunks = 0
        self.mute = False

    def _take(self, delivery: Delivery) -> None:
        message = decode(Chunk | OutputEnd, delivery.body)
        if self.mute:
            return
        if isinstance(message, OutputEnd):
            self.final[message.run_id] = message.lengths
            self._ack(delivery, message.journal, message.run_id, *message.lengths)
            return
        self.chunks += 1
        kept = self.bytes.setdefault((message.run_id, message.stream), bytearray())
        data = delivery.payload or b""
        if message.gap:
            self.gaps.append(message)
            data = bytes(message.length)
        else:
            assert zlib.crc32(data) == message.crc32
            assert len(data) == message.length
        if message.offset <= len(kept):
            new = data[len(kept) - message.offset :]
            old = kept[message.offset : message.offset + len(data)]
            assert old == data[: len(old)], f"an offset got other bytes: {len(kept)} are kept, now {message}"
            kept += new
        self._ack(delivery, message.journal, message.run_id, message.stream)

    def _ack(self, delivery: Delivery, journal: int, run_id: str, *streams: str) -> None:
        items = []
        for stream in streams:
            length = len(self.bytes.get((run_id, stream), b""))
            complete = self.final.get(run_id, {}).get(stream) == length
            items.append(Kept(run_id=run_id, stream=stream, length=length, complete=complete, journal=journal))
        self.peer.send(delivery.sender, OutputAck(items=items))

    def of(self, run_id: str, stream: str = "output") -> bytes:
        return bytes(self.bytes.get((run_id, stream), b""))


def python_for(user: int) -> str | None:
    """Return an interpreter that a user may execute, with what we need; this one may lie where only root may look."""
    for python in (PYTHON, "/usr/bin/python3"):
        try:
            found = subprocess.run(
                [python, "-c", "import zmq, msgspec, apsis_bus"], check=False, capture_output=True, cwd="/",
                user=user, group=user, extra_groups=[], env={"PYTHONPATH": os.pathsep.join(sys.path)},
            )  # fmt: skip
        except OSError:
            continue
        if found.returncode == 0:
            return python
    return None


class Scene:
    """Processes of one home, started and killed by the test."""

    def __init__(self, user: int | None = None, python: str = PYTHON) -> None:
        self.user = user
        self.python = python
        self.root = Path(tempfile.mkdtemp(prefix="apsis-sup-", dir="/tmp"))
        self.home = Home(self.root)
        self.home.config.write_text("")
        for folder in (self.home.run, self.home.log):
            folder.mkdir(mode=0o750)
        if user is not None:
            for path in (self.root, *self.root.rglob("*")):
                os.chown(path, user, user)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.scheduler = TestScheduler(self.home)
        self.store = TestStore(self.home)

    # Processes

    def begin(self, name: str) -> None:
        module = {"hub": "apsis_bus.hub", "supervisor": "apsis_services.supervisor"}[name]
        with self.home.service_log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [self.python, "-m", module, "--home", str(self.root)], cwd="/", stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, user=self.user, group=self.user, extra_groups=None if self.user is None else [],
                env=None if self.python == PYTHON else os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            )  # fmt: skip

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes.pop(name).wait()

    def terminate(self, name: str, seconds: float = 5.0) -> int:
        process = self.processes.pop(name)
        process.terminate()
        return process.wait(seconds)

    def zygotes(self) -> list[int]:
        found = []
        for path in self.home.run.glob("zygote-*.lock"):
            with contextlib.suppress(ValueError):
                facts = json.loads(path.read_text())
                stat = read_stat(facts["pid"])
                if stat is not None and stat.ticks == facts["ticks"]:
                    found.append(facts["pid"])
        return found

    @property
    def epoch(self) -> str:
        return (self.home.spool / "epoch").read_text().strip()

    # The test's own part

    def run(self, body: Callable[["Scene"], object], seconds: float = 60.0) -> None:
        """Run the test's coroutine with scheduler and store connected."""

        async def whole() -> None:
            resend = None
            try:
                await self.scheduler.peer.connect(15)
                await self.store.peer.connect(15)
                resend = asyncio.create_task(self._resend())
                await body(self)  # type: ignore[misc]
            finally:
                if resend is not None:
                    resend.cancel()
                await self.scheduler.peer.close()
                await self.store.peer.close()

        try:
            asyncio.run(asyncio.wait_for(whole(), seconds))
        except BaseException:
            for name in ("hub", "supervisor", "zygote"):
                path = self.home.service_log(name)
                print(f"--- {name}", path.read_text() if path.exists() else "")
            raise

    async def _resend(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            if self.scheduler.binding:
                self.scheduler.send_open()

    async def until(self, condition: Callable[[], object], what: str = "", seconds: float = 20.0) -> None:
        """Wait for a condition with a deadline."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not condition():
            if loop.time() > deadline:
                raise AssertionError(f"not within {seconds} s: {what}; {self.scheduler.reports[-5:]}")
            await asyncio.sleep(0.005)

    async def ended(self, *run_ids: str, seconds: float = 20.0) -> list[Finished]:
        await self.until(lambda: all(map(self.scheduler.end, run_ids)), f"end of {run_ids}", seconds)
        return [end for run_id in run_ids if (end := self.scheduler.end(run_id))]

    def living(self, run_id: str) -> list[int]:
        return [who.pid for who in find_tagged(self.epoch, [Key(JOURNAL, run_id)])[Key(JOURNAL, run_id)]]

    def close(self) -> None:
        """End every process that this scene has started, and take the home away."""
        for name in list(self.processes):
            self.kill(name)
        for pid in self.zygotes():
            os.kill(pid, signal.SIGKILL)
        if (self.home.spool / "epoch").exists():
            names = {path.name.removesuffix(".j") for path in self.home.spool.glob("*/*-*")}
            runs = {Key(*found) for name in names if (found := parse_key(f"{name}.j")) is not None}
            for found in find_tagged(self.epoch, runs).values():
                for who in found:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(who.pid, signal.SIGKILL)
            for path in self.home.spool.glob("*/*.j"):
                claim = json.loads(path.read_bytes().split(b"\n", 1)[0][9:])
                stat = read_stat(claim["pid"]) if "pid" in claim else None
                if stat is not None and stat.ticks == claim["ticks"] and claim["boot"] == boot_id():
                    os.kill(stat.pid, signal.SIGKILL)
        shutil.rmtree(self.root)
