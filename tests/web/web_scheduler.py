"""The scheduler's side: commits to a database of the real form, publishes and answers over the real bus."""

import asyncio
import hashlib
import json
import random
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from peewee import SqliteDatabase
from web_loop import WAIT, Loop

from apsis.home import Home
from apsis.messages.body import Body, decode, encode
from apsis.messages.events import Event, Heartbeat, JobEvent, Page, Replay, RunEvent, SysEvent
from apsis.messages.requests import ActOnRun, CreateRun, Done, Failed, Request
from apsis.runs.run import Exit, LogEntry, Run
from apsis.runs.states import FINISHED, TABLE, State
from apsis.times import format_time, parse_time, to_micros
from apsis_bus import topics
from apsis_bus.peer import Delivery, Peer
from apsis_services.scheduler.models import TABLES, proxy
from apsis_services.scheduler.views import VIEWS


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
