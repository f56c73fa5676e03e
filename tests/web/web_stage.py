"""What the web tests play with: real hub, store and web processes, and a scheduler's side over bus and database."""

import asyncio
import hashlib
import http.client
import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from peewee import SqliteDatabase
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from apsis.errors import ApsisError
from apsis.home import Home
from apsis.messages.body import Body, decode, encode
from apsis.messages.events import Event, Heartbeat, JobEvent, Page, Replay, RunEvent, SysEvent
from apsis.messages.outputs import Chunk, OutputEnd
from apsis.messages.requests import ActOnRun, CreateRun, Done, Failed, Request
from apsis.runs.run import Exit, LogEntry, Run
from apsis.runs.states import FINISHED, TABLE, State
from apsis.times import format_time, parse_time, to_micros
from apsis_bus import topics
from apsis_bus.lock import read_lock
from apsis_bus.peer import Delivery, Peer
from apsis_services.scheduler.models import TABLES, proxy
from apsis_services.scheduler.views import VIEWS

TOKEN = "the-token-of-the-test-home"
WAIT = 15.0


def until(condition: Callable[[], Any], seconds: float = WAIT, what: str = "") -> Any:
    """Return the first true value of a condition."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s: {what or condition}"
        time.sleep(0.02)
    return value


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any], seconds: float = WAIT) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def call(self, work: Callable[[], Any]) -> Any:
        async def called() -> Any:
            return work()

        return self.run(called())

    def close(self) -> None:
        async def cancel() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.run(cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Process:
    """A service that is started, ended and started again."""

    def __init__(self, home: Home, module: str, name: str) -> None:
        self.home, self.module, self.name = home, module, name
        self.popen: subprocess.Popen[bytes] | None = None

    def start(self, *more: str, ready: bool = True) -> "Process":
        with self.home.service_log(self.name).open("ab") as log:
            command = [sys.executable, "-m", self.module, "--home", str(self.home.root), *more]
            self.popen = subprocess.Popen(command, stderr=log, cwd="/")
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        def is_ready() -> bool:
            assert self.popen is not None
            assert self.popen.poll() is None, self.log()
            info = read_lock(self.home.lock(self.name))
            return info is not None and info.ready and info.pid == self.popen.pid

        until(is_ready, what=f"{self.name} is ready")

    @property
    def address(self) -> str:
        info = read_lock(self.home.lock(self.name))
        assert info is not None
        assert info.address is not None
        return info.address

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.popen is not None
        self.popen.send_signal(signal.SIGCONT)
        self.popen.send_signal(number)
        code = self.popen.wait(10)
        self.popen = None
        return code

    def close(self) -> None:
        if self.popen is not None:
            self.end(signal.SIGKILL)

    def log(self) -> str:
        return self.home.service_log(self.name).read_text()

    def rss(self) -> int:
        """Resident bytes."""
        assert self.popen is not None
        for line in Path(f"/proc/{self.popen.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")


class Scheduler:
    """Speaks as the scheduler does: commits to a database of the real form, then publishes; answers requests."""

    def __init__(self, home: Home, loop: Loop) -> None:
        self.home, self._loop = home, loop
        self.journal = random.getrandbits(63)
        self.runs: dict[str, Run] = {}
        self.head = 0
        self.last = 0
        #: share of events that are committed and never published
        self.loss = 0.0
        self.requests: list[Request] = []
        self._answers: dict[str, tuple[str, Body]] = {}
        self._history: dict[str, list[LogEntry]] = {}
        self._random = random.Random(1)
        self.db = self._open()
        self.peer: Peer | None = None

    def _open(self) -> sqlite3.Connection:
        path = self.home.database
        path.parent.mkdir(exist_ok=True)
        database = SqliteDatabase(str(path), pragmas={"journal_mode": "wal"})
        proxy.initialize(database)
        proxy.create_tables(TABLES)
        for name, select in VIEWS.items():
            database.execute_sql(f"CREATE VIEW IF NOT EXISTS {name} AS {select}")
        database.close()
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA synchronous = OFF")
        values = {"journal": str(self.journal), "term": "1", "schema": "1", "job_errors": "[]"}
        db.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", values.items())
        return db

    def join(self) -> None:
        self._loop.run(self._join())

    async def _join(self) -> None:
        self.peer = Peer(self.home, "scheduler")
        self.peer.handle(self._take)
        await self.peer.connect(WAIT)
        self._beating = asyncio.get_running_loop().create_task(self._beat())

    def leave(self) -> None:
        async def leave() -> None:
            if self.peer is not None:
                self._beating.cancel()
                await self.peer.close()
                self.peer = None

        self._loop.run(leave())

    def close(self) -> None:
        self.leave()
        self.db.close()

    async def _beat(self) -> None:
        while True:
            assert self.peer is not None
            beat = Heartbeat(journal=self.journal, term=1, head=self.head, floor=0, now=_now())
            self.peer.publish(topics.HEARTBEAT, 0, 0, encode(beat))
            await asyncio.sleep(0.25)

    def _take(self, delivery: Delivery) -> None:
        message: Replay | Request = decode(Replay | Request, delivery.body)
        if isinstance(message, Replay):
            rows = self.db.execute(
                "SELECT id, body FROM event WHERE id > ? ORDER BY id LIMIT ?", (message.since, message.limit)
            ).fetchall()
            events = [decode(Event, body) for _, body in rows]
            last = rows[-1][0] if rows else message.since
            delivery.ok(Page(journal=self.journal, last=last, head=self.head, events=events))
            return
        digest = hashlib.sha256(encode(message.do)).hexdigest()
        known = self._answers.get(message.request_id)
        if known is None:
            self.requests.append(message)
            known = self._answers[message.request_id] = (digest, self._obey(message))
        answer = known[1]
        if known[0] != digest:
            answer = Failed(code="conflict", message="this request id was used for another request")
        if isinstance(answer, Failed):
            delivery.no(answer.code, answer)
        else:
            delivery.ok(answer)

    def _obey(self, request: Request) -> Done | Failed:
        match request.do:
            case CreateRun(job_id="nope"):
                return Failed(code="not_found", message="no job 'nope'", hint="did you mean etl/load?")
            case CreateRun(job_id=job_id, args=args, count=count, schedule_time=due):
                runs = [self._create(job_id, args, due, request.actor) for _ in range(count)]
                return Done(seq=self.head, result={"runs": [msgspec.to_builtins(run) for run in runs]})
            case ActOnRun(run_id=run_id, action="skip"):
                if run_id not in self.runs:
                    return Failed(code="not_found", message=f"no run {run_id}")
                if self.runs[run_id].state in FINISHED:
                    return Failed(code="conflict", message=f"{run_id} has ended")
                run = self._change(run_id, State.SKIPPED, request.actor)
                return Done(seq=self.head, result={"run": msgspec.to_builtins(run)})
            case _:
                return Failed(
                    code="job", message="the job does not check", findings=[{"path": "program", "message": "missing"}]
                )

    def create(self, job_id: str = "etl/load", due: datetime | None = None, **args: str) -> Run:
        """Make a run that is scheduled."""
        run: Run = self._loop.call(
            lambda: self._create(job_id, args, None if due is None else format_time(due), "scheduler")
        )
        return run

    def change(self, run_id: str, state: State, **fields: Any) -> Run:
        """Move a run on."""
        run: Run = self._loop.call(lambda: self._change(run_id, state, "scheduler", **fields))
        return run

    def withdraw(self, run_id: str) -> None:
        """Take a run back as if it had never been."""

        def withdraw() -> None:
            run = self.runs.pop(run_id)
            self.db.execute("DELETE FROM run WHERE num = ?", (int(run_id[1:]),))
            self._emit_run(run, "withdrawn", "", None)

        self._loop.call(withdraw)

    def _create(self, job_id: str, args: dict[str, str], due: str | None, actor: str) -> Run:
        self.last += 1
        now = _now()
        run = Run(
            run_id=f"r{self.last}", job_id=job_id, args=args, state=State.SCHEDULED, schedule_time=due or now,
            timestamps={"scheduled": now}, expected=actor == "scheduler", rev=1,
        )  # fmt: skip
        self._store(run, "scheduled", "", actor)
        return run

    def _change(self, run_id: str, state: State, actor: str, **fields: Any) -> Run:
        old = self.runs[run_id]
        run = msgspec.structs.replace(
            old, state=state, timestamps={**old.timestamps, state: _now()}, rev=old.rev + 1, **fields
        )
        self._store(run, state, old.state, actor)
        return run

    def _store(self, run: Run, event: str, old: str, actor: str) -> None:
        self.runs[run.run_id] = run
        self.db.execute("BEGIN")
        self._insert(run)
        self._emit_run(run, event, old, run, actor)

    def _insert(self, run: Run) -> None:
        due = None if run.schedule_time is None else to_micros(parse_time(run.schedule_time))
        key = due if due is not None else to_micros(parse_time(min(run.timestamps.values())))
        history = encode(self._history.get(run.run_id, []))
        self.db.execute(
            "INSERT OR REPLACE INTO run"
            " (num, job_id, args_key, state, due, time_key, finished, expected, rev, doc, facts, log)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (int(run.run_id[1:]), run.job_id, run.run_id, run.state, due, key, run.state in FINISHED,
             0, run.rev, encode(run), b"{}", history),
        )  # fmt: skip

    def _emit_run(self, run: Run, event: str, old: str, shown: Run | None, actor: str = "scheduler") -> None:
        body = RunEvent(
            id=self.head + 1,
            at=_now(),
            run_id=run.run_id,
            job_id=run.job_id,
            actor=actor,
            event=event,
            old=old,
            run=shown,
        )
        entry = LogEntry(seq=body.id, at=body.at, actor=actor, event=event, old=old)
        self._history.setdefault(run.run_id, []).append(entry)
        if shown is not None:
            self._insert(shown)
        self._emit(body, topics.run_event(run.job_id, run.run_id, run.state), run.run_id)

    def job(self, job_id: str, **fields: Any) -> None:
        """Load or change a job."""

        def put() -> None:
            doc = {"job_id": job_id, "params": [], "labels": [], "schedules": [], "next": None, **fields}
            self.db.execute("INSERT OR REPLACE INTO job (job_id, hash, doc) VALUES (?, '', ?)", (job_id, encode(doc)))
            event = JobEvent(id=self.head + 1, at=_now(), job_id=job_id, actor="scheduler", event="changed", job=doc)
            self._emit(event, topics.job_event(job_id))

        self._loop.call(put)

    def remove_job(self, job_id: str) -> None:
        """Take a job away."""

        def remove() -> None:
            self.db.execute("DELETE FROM job WHERE job_id = ?", (job_id,))
            event = JobEvent(id=self.head + 1, at=_now(), job_id=job_id, actor="scheduler", event="removed")
            self._emit(event, topics.job_event(job_id))

        self._loop.call(remove)

    def complain(self, errors: list[dict[str, Any]]) -> None:
        """End a reload with errors."""

        def reload() -> None:
            self.db.execute("UPDATE meta SET value = ? WHERE key = 'job_errors'", (json.dumps(errors),))
            self._emit(SysEvent(id=self.head + 1, at=_now(), kind="reloaded"), topics.sys_event("reloaded"))

        self._loop.call(reload)

    def _emit(self, event: Event, topic: str, run_id: str | None = None) -> None:
        body = encode(event)
        self.head = event.id
        self.db.execute(
            "INSERT INTO event (id, at, topic, run_id, body) VALUES (?, ?, ?, ?, ?)",
            (event.id, to_micros(parse_time(event.at)), topic, run_id, body),
        )
        if self.db.in_transaction:
            self.db.execute("COMMIT")
        if self.peer is not None and self._random.random() >= self.loss:
            self.peer.publish(topic, event.id, self.journal, body)

    def past(self, count: int, *, days: float, job_id: str = "old/job") -> None:
        """Put finished runs into the database, before web has loaded it."""
        self.db.execute("BEGIN")
        start = datetime.now(UTC) - timedelta(days=days)
        for index in range(count):
            self.last += 1
            at = format_time(start + timedelta(seconds=index))
            run = Run(
                run_id=f"r{self.last}", job_id=job_id, args={"n": str(index)},
                state=State.SUCCESS if index % 3 else State.FAILURE,
                schedule_time=at, timestamps={"scheduled": at, "running": at, "success": at}, exit=Exit(code=0), rev=3,
            )  # fmt: skip
            self.runs[run.run_id] = run
            self._insert(run)
        self.db.execute("COMMIT")

    def some_change(self, chance: random.Random) -> None:
        """Do one of the things that happen, on the loop."""
        open_runs = [run for run in self.runs.values() if run.state not in FINISHED]
        dice = chance.random()
        if dice < 0.3 or not open_runs:
            due = datetime.now(UTC) + timedelta(seconds=chance.uniform(-3600, 3600))
            job_id = chance.choice(["etl/load", "etl/check", "report", "a/runs"])
            self._create(job_id, {"n": str(chance.randrange(5))}, format_time(due), "scheduler")
            return
        run = chance.choice(open_runs)
        if dice < 0.33:
            self.runs.pop(run.run_id)
            self.db.execute("DELETE FROM run WHERE num = ?", (int(run.run_id[1:]),))
            self._emit_run(run, "withdrawn", "", None)
            return
        following = [state for state in State if run.state in TABLE[state]]
        self._change(run.run_id, chance.choice(following), "scheduler")

    def some_changes(self, count: int, chance: random.Random) -> None:
        """Do several of them in one turn."""
        self._loop.call(lambda: [self.some_change(chance) for _ in range(count)] and None)


def _now() -> str:
    return format_time(datetime.now(UTC))


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def error(self) -> dict[str, Any]:
        assert set(self.json) == {"error"}, self.data
        error: dict[str, Any] = self.json["error"]
        assert {"code", "message", "hint", "loc", "request_id"} <= set(error)
        return error


class Socket:
    """A websocket client, from a test that does not speak asyncio."""

    def __init__(
        self, loop: Loop, url: str, headers: dict[str, str], subprotocol: str | None = "apsis.v1.json"
    ) -> None:
        self._loop = loop
        self._reading: asyncio.Future[Any] | None = None
        request = HTTPRequest(url.replace("http", "ws", 1), headers=headers, request_timeout=WAIT)

        async def connect() -> WebSocketClientConnection:
            return await websocket_connect(request, subprotocols=[subprotocol] if subprotocol else None)

        self.connection: WebSocketClientConnection = loop.run(connect())

    def send(self, **frame: Any) -> None:
        self.raw(json.dumps(frame))

    def raw(self, text: str) -> None:
        async def write() -> None:
            await self.connection.write_message(text)

        self._loop.run(write())

    def recv(self, seconds: float = WAIT) -> dict[str, Any] | None:
        """Return the next frame, or None when the socket was closed."""

        async def read() -> Any:
            if self._reading is None:
                self._reading = asyncio.ensure_future(self.connection.read_message())
            text = await asyncio.wait_for(asyncio.shield(self._reading), seconds)
            # Kept over a time-out: what it read meanwhile must not be lost.
            self._reading = None
            return text

        text = self._loop.run(read(), seconds + 5)
        return None if text is None else json.loads(text)

    def quiet(self, seconds: float) -> bool:
        """Tell whether nothing came for some seconds."""
        try:
            frame = self.recv(seconds)
        except TimeoutError:
            return True
        return frame is None

    def expect(self, kind: str, seconds: float = WAIT) -> dict[str, Any]:
        """Return the next frame of a kind."""
        while True:
            frame = self.recv(seconds)
            assert frame is not None, f"closed with {self.connection.close_code} before {kind}"
            if frame["t"] == kind:
                return frame

    def closed(self) -> int | None:
        """Return the close code, once it is closed."""
        while self.recv() is not None:
            pass
        return self.connection.close_code

    def drop(self) -> None:
        """Cut the connection without a word."""

        def cut() -> None:
            protocol = self.connection.protocol
            assert protocol is not None
            protocol.stream.close()
            self.connection.close()

        self._loop.call(cut)

    def close(self) -> None:
        def close() -> None:
            if self.connection.protocol is not None:
                self.connection.close()
                self.connection.on_connection_close()

        self._loop.call(close)


@dataclass
class Mirror:
    """What a page makes of the frames of one `runs` subscription."""

    id: int = 1
    seq: int = -1
    instance: str = ""
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    snaps: int = 0

    def take(self, frame: dict[str, Any]) -> None:
        if frame["t"] == "hello":
            self.instance = frame["inst"]
        if frame.get("id") != self.id:
            return
        if frame["t"] == "snap":
            self.snaps += 1
            self.rows = {row["run_id"]: row for row in frame["rows"]}
        elif frame["t"] == "delta":
            assert frame["from"] == self.seq, "a delta must go on from where the client is"
            self.rows.update({row["run_id"]: row for row in frame["rows"]})
            for run_id in frame["gone"]:
                self.rows.pop(run_id, None)
        else:
            return
        self.seq = frame["seq"]
        self.facts = {name: frame[name] for name in ("total", "exact", "before", "after", "range", "counts")}


class Stage:
    """One home and its processes."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.loop = Loop()
        self.hub = Process(home, "apsis_bus.hub", "hub")
        self.store = Process(home, "apsis_services.store", "store")
        self.web = Process(home, "apsis_web", "web")
        self._scheduler: Scheduler | None = None
        self._host: Peer | None = None
        self._sockets: list[Socket] = []

    @property
    def scheduler(self) -> Scheduler:
        if self._scheduler is None:
            self._scheduler = Scheduler(self.home, self.loop)
        return self._scheduler

    def start(self) -> "Stage":
        """Start hub, scheduler and web, and wait until web has caught up."""
        self.hub.start()
        self.scheduler.join()
        self.web.start()
        self.caught_up()
        return self

    def caught_up(self) -> None:
        """Wait until web answers with the scheduler's head."""

        def at_head() -> bool:
            answer = self.get("/runs?limit=0")
            return answer.status == 200 and answer.json["seq"] == self.scheduler.head

        until(at_head, what="web is at the head")

    def close(self) -> None:
        for socket in self._sockets:
            socket.close()
        if self._host is not None:
            self.loop.run(self._host.close())
        if self._scheduler is not None:
            self._scheduler.close()
        for process in (self.web, self.store, self.hub):
            process.close()
        self.loop.close()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = TOKEN,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Make one request; paths are below /api/v1 unless they begin with `//`."""
        host = self.web.address.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=WAIT)
        sent = dict(headers or {})
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token}")
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        full = path[1:] if path.startswith("//") else "/api/v1" + path
        try:
            connection.request(method, full, body=data, headers=sent)
            response = connection.getresponse()
            read = response.read()
        finally:
            connection.close()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, read)

    def get(self, path: str, **more: Any) -> Answer:
        return self.call("GET", path, **more)

    @contextmanager
    def stream(self, path: str, headers: dict[str, str] | None = None) -> Iterator[http.client.HTTPResponse]:
        """Make a request and hand out the answer while it comes."""
        connection = http.client.HTTPConnection(self.web.address.removeprefix("http://"), timeout=WAIT)
        connection.request("GET", "/api/v1" + path, headers={"Authorization": f"Bearer {TOKEN}", **(headers or {})})
        response = connection.getresponse()
        try:
            yield response
        finally:
            response.close()
            connection.close()

    def socket(self, *, headers: dict[str, str] | None = None, subprotocol: str | None = "apsis.v1.json") -> Socket:
        """Open a websocket."""
        sent = {"Authorization": f"Bearer {TOKEN}"} if headers is None else headers
        self._sockets.append(Socket(self.loop, self.web.address + "/api/v1/ws", sent, subprotocol))
        return self._sockets[-1]

    def log_in(self) -> dict[str, str]:
        """Log in as the page does; return the headers that a browser would send from then on."""
        answer = self.call("POST", "/login", {"token": TOKEN}, token=None)
        assert answer.status == 200, answer.data
        cookie = answer.headers["set-cookie"].split(";")[0]
        return {"Cookie": cookie, "X-XSRF-Token": answer.json["xsrf"]}

    def print_output(
        self, run_id: str, data: bytes, *, offset: int = 0, stream: str = "output", end: bool = False
    ) -> None:
        """Send bytes to the store as a supervisor does."""

        async def send() -> None:
            if self._host is None:
                self._host = Peer(self.home, "supervisor/test", bulk=True, epoch="e")
                self._host.handle(lambda delivery: None)
                await self._host.connect(WAIT)
            for start in range(0, len(data), 256 * 1024):
                piece = data[start : start + 256 * 1024]
                chunk = Chunk(
                    host="test",
                    run_id=run_id,
                    stream=stream,
                    offset=offset + start,
                    length=len(piece),
                    crc32=zlib.crc32(piece),
                )
                self._host.send("store", chunk, payload=piece, bulk=True)
            if end:
                lengths = {stream: offset + len(data)}
                self._host.send("store", OutputEnd(host="test", run_id=run_id, lengths=lengths), bulk=True)

        self.loop.run(send())


__all__ = ["TOKEN", "Answer", "ApsisError", "Mirror", "Process", "Scheduler", "Socket", "Stage", "until"]
