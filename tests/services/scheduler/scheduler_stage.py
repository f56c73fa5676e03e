"""What the tests of the scheduler share: real processes of hub and scheduler, and a supervisor played over the bus."""

import asyncio
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apsis.home import Home
from apsis.messages.body import decode
from apsis.messages.dispatch import (
    Ack,
    Answer,
    Answers,
    Commands,
    Finished,
    Forget,
    HostHello,
    Reports,
    Start,
    Started,
    Stop,
    ToSupervisor,
)
from apsis.messages.events import Event, Heartbeat
from apsis.messages.requests import ActOnRun, CreateRun, Done, Failed, ReloadJobs, Request
from apsis.runs.run import Exit, Run
from apsis.times import format_time
from apsis_bus import topics
from apsis_bus.lock import read_lock
from apsis_bus.peer import BusRefused, Delivery, Peer, Published


class Service:
    """One real service process of a home, that is started, killed and started again."""

    def __init__(self, home: Home, name: str, module: str) -> None:
        self.home, self.name, self.module = home, name, module
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, ready: bool = True, seconds: float = 20) -> None:
        self.home.log.mkdir(exist_ok=True)
        with self.home.service_log(self.name).open("ab") as log:
            command = [sys.executable, "-m", self.module, "--home", str(self.home.root)]
            self.process = subprocess.Popen(command, stderr=log, cwd="/")
        if ready:
            deadline = time.monotonic() + seconds
            while not self.is_ready():
                assert self.process.poll() is None, self.log()
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.01)

    def is_ready(self) -> bool:
        info = read_lock(self.home.lock(self.name))
        return info is not None and info.ready and self.process is not None and info.pid == self.process.pid

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(10)
        self.process = None
        return code

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def log(self) -> str:
        return self.home.service_log(self.name).read_text()


class Stage:
    """A home with hub and scheduler."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.home.config.write_text("{}\n")
        self.home.jobs.mkdir()
        self.hub = Service(self.home, "hub", "apsis_bus.hub")
        self.scheduler = Service(self.home, "scheduler", "apsis_services.scheduler")

    def job(self, job_id: str, text: str) -> None:
        path = self.home.jobs / f"{job_id}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def start(self) -> None:
        self.hub.start()
        self.scheduler.start()

    def close(self) -> None:
        self.scheduler.close()
        self.hub.close()

    def query(self, statement: str, *values: Any) -> list[Any]:
        """Read through the views, as the web service does."""
        sql = sqlite3.connect(f"{self.home.database.as_uri()}?mode=ro", uri=True)
        try:
            return sql.execute(statement, values).fetchall()
        finally:
            sql.close()

    def run(self, run_id: str) -> Run:
        ((doc,),) = self.query("SELECT doc FROM v_run WHERE run_id = ?", run_id)
        run: Run = decode(Run, doc)
        return run

    def states(self) -> dict[str, int]:
        return dict(self.query("SELECT state, count(*) FROM v_run GROUP BY state"))


class Host:
    """A supervisor played over the real bus: it obeys at most once, and reports until it is acknowledged."""

    def __init__(self, home: Home, name: str = "local", *, finish: bool = True) -> None:
        self.peer = Peer(home, f"supervisor/{name}")
        self.name = name
        self.epoch, self.boot = "e1", "b1"
        self.seq = self.acked = 0
        self.finish = finish
        self.silent = False
        self.known: dict[str, str] = {}
        self.starts: list[str] = []
        self.started_at: dict[str, datetime] = {}
        self.reports: list[Any] = []
        self.forgotten: list[str] = []
        self.floor = 0
        self.term = 0
        self._resend: asyncio.Task[None] | None = None

    async def join(self) -> "Host":
        self.peer.handle(self._take)
        self.peer.subscribe(topics.HEARTBEAT, self._heartbeat)
        self.peer.on_connected.append(self.hello)
        self.peer.on_refused = lambda refused: None
        await self.peer.connect(10)
        self._resend = asyncio.create_task(self._repeat())
        return self

    async def leave(self) -> None:
        if self._resend is not None:
            self._resend.cancel()
        await self.peer.close()

    def hello(self) -> None:
        self.peer.send(
            "scheduler",
            HostHello(
                host=self.name, epoch=self.epoch, boot=self.boot, seq=self.seq, acked=self.acked, floor=self.floor,
                version="test", cores=8,
            ),
        )  # fmt: skip

    def _heartbeat(self, published: Published) -> None:
        beat: Heartbeat = decode(Heartbeat, published.body)
        if beat.term != self.term:
            self.term = beat.term
            self.hello()

    def _take(self, delivery: Delivery) -> None:
        message = decode(ToSupervisor, delivery.body)
        if isinstance(message, Ack):
            self.acked = max(self.acked, message.seq)
            self.reports = [report for report in self.reports if report.seq > message.seq]
            self.seq = max(self.seq, message.seq)
        elif not self.silent:
            self._obey(message)

    def _obey(self, commands: Commands) -> None:
        self.floor = max(self.floor, commands.floor)
        answers = []
        for item in commands.items:
            run_id = getattr(item, "run_id", "")
            if isinstance(item, Forget):
                self.forgotten += item.run_ids
            elif isinstance(item, Start) and run_id not in self.known:
                if (commands.epoch, commands.boot) != (self.epoch, self.boot):
                    answers.append(Answer(dispatch=item.dispatch, run_id=run_id, state="unknown"))
                    continue
                self.known[run_id] = "claimed"
                self.starts.append(run_id)
                self.started_at[run_id] = datetime.now(UTC)
                self.report(Started, run_id=run_id, at=format_time(self.started_at[run_id]), pid=1)
                if self.finish:
                    self.end(run_id)
            elif isinstance(item, Stop):
                self.end(run_id, Exit(signal=item.signal, killed_by=f"stop by {item.by}"), stopped=True)
            answers.append(Answer(dispatch=item.dispatch, run_id=run_id, state=self.known.get(run_id, "none")))
        self.peer.send("scheduler", Answers(host=self.name, epoch=self.epoch, boot=self.boot, items=answers))
        self.say()

    def report(self, kind: Any, **fields: Any) -> None:
        self.seq += 1
        self.reports.append(kind(seq=self.seq, **fields))

    def end(self, run_id: str, exit_: Exit | None = None, **fields: Any) -> None:
        self.known[run_id] = "done"
        now = format_time(datetime.now(UTC))
        self.report(
            Finished, run_id=run_id, start=now, end=now, elapsed=0.5, exit=exit_ or Exit(code=0), outputs={"output": 3},
            **fields,
        )  # fmt: skip

    def say(self) -> None:
        if self.reports:
            body = Reports(host=self.name, epoch=self.epoch, boot=self.boot, items=self.reports[:64])
            self.peer.send("scheduler", body)

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            self.say()


class Web:
    """The web service played: asks the scheduler, and hears every event."""

    def __init__(self, home: Home) -> None:
        self.peer = Peer(home, "web")
        self.events: list[Event] = []
        self.topics: list[str] = []
        self.count = 0

    async def join(self) -> "Web":
        self.peer.subscribe(topics.EVENTS, self._hear)
        self.peer.on_refused = lambda refused: None
        await self.peer.connect(10)
        return self

    async def leave(self) -> None:
        await self.peer.close()

    def _hear(self, published: Published) -> None:
        self.events.append(decode(Event, published.body))
        self.topics.append(published.topic)

    async def ask(self, deed: Any, request_id: str = "", timeout: float = 10) -> Done | Failed:
        self.count += 1
        request_id = request_id or hashlib.sha256(f"{os.getpid()} {id(self)} {self.count}".encode()).hexdigest()
        request = Request(request_id=request_id, actor="user:ann", do=deed)
        try:
            body, _ = await self.peer.request("scheduler", request, timeout=timeout)
        except BusRefused as refused:
            failed: Failed = decode(Failed, refused.body)
            return failed
        done: Done = decode(Done, body)
        return done

    async def create(self, job_id: str, count: int = 1, at: datetime | None = None, **args: str) -> list[str]:
        due = format_time(at) if at else None
        done = await self.ask(CreateRun(job_id=job_id, args=args, count=count, schedule_time=due))
        assert isinstance(done, Done), done
        return [run["run_id"] for run in done.result["runs"]]

    async def act(self, run_id: str, action: str, **fields: Any) -> Done | Failed:
        return await self.ask(ActOnRun(run_id=run_id, action=action, **fields))

    async def reload(self, **fields: Any) -> Done | Failed:
        return await self.ask(ReloadJobs(**fields))


async def until(condition: Callable[[], object], seconds: float = 15) -> None:
    """Wait for a condition with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)
