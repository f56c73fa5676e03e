"""What anyone may ask of a scheduler: pages of events, pages of what there is; and for whom it keeps events."""

import asyncio
import os
import secrets
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from scheduler_stage import Host, Stage, Web, until

from apsis.messages.body import decode, encode
from apsis.messages.events import Event, Page, Replay, SysEvent
from apsis.messages.requests import CreateRun, Request
from apsis.messages.snapshots import Consumed, Registered, Snap, Snapshot
from apsis.runs.states import State
from apsis.times import to_micros
from apsis_bus import topics
from apsis_bus.peer import BusRefused, Peer, Published

TRUE = "program: {type: program, argv: [/bin/true]}\n"
MONTH = timedelta(days=31)


async def client(stage: Stage) -> Peer:
    peer = Peer(stage.home, f"client/{os.getuid()}/{secrets.token_hex(4)}")
    await peer.connect(10)
    return peer


async def snap(peer: Peer, **fields: Any) -> Snapshot:
    body, _ = await peer.request("scheduler", Snap(**fields), verb="SNAP", timeout=20)
    page: Snapshot = decode(Snapshot, body)
    return page


async def whole(peer: Peer, **fields: Any) -> list[Snapshot]:
    pages = [await snap(peer, **fields)]
    while pages[-1].next is not None:
        pages.append(await snap(peer, after=pages[-1].next, **fields))
    return pages


async def replayed(peer: Peer) -> list[Event]:
    events: list[Event] = []
    while True:
        since = events[-1].id if events else 0
        body, _ = await peer.request("scheduler", Replay(since=since), verb="REPLAY", timeout=20)
        page: Page = decode(Page, body)
        events += page.events
        if page.last >= page.head:
            return events


def aged(stage: Stage, change: Callable[[sqlite3.Connection], object]) -> None:
    """Change the database of a scheduler that does not run."""
    sql = sqlite3.connect(stage.home.database)
    change(sql)
    sql.commit()
    sql.close()


def test_a_snapshot_has_each_job_and_each_run_once_page_by_page(stage: Stage) -> None:
    for name in "abc":
        stage.job(name, f"params: [text]\n{TRUE}")

    async def play() -> None:
        stage.start()
        web, peer = await Web(stage.home).join(), await client(stage)
        live = await web.create("a", count=300, at=datetime.now(UTC) + timedelta(days=1), text="x" * 3_000)
        pages = await whole(peer)
        assert len(pages) > 2
        assert [job["job_id"] for page in pages for job in page.jobs] == ["a", "b", "c"]
        assert [run.run_id for page in pages for run in page.runs] == live
        assert all(len(encode(page)) < 600_000 for page in pages)
        head = stage.query("SELECT value FROM v_meta WHERE key = 'head'")[0][0]
        assert {page.head for page in pages} == {int(head)}
        await peer.close()
        await web.leave()

    asyncio.run(play())


def test_runs_that_have_ended_are_given_from_the_time_that_is_asked_for(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.start()
        web, host, peer = await Web(stage.home).join(), await Host(stage.home).join(), await client(stage)
        before = await web.create("a", count=5)
        await until(lambda: stage.states() == {"success": 5})
        between = (await snap(peer)).now
        after = await web.create("a", count=3)
        await until(lambda: stage.states() == {"success": 8})
        assert [run.run_id for page in await whole(peer) for run in page.runs] == []
        late = [run for page in await whole(peer, since=between) for run in page.runs]
        assert [run.run_id for run in late] == after
        assert {run.state for run in late} == {State.SUCCESS}
        everything = await whole(peer, since="2020-01-01T00:00:00Z")
        assert [run.run_id for page in everything for run in page.runs] == before + after
        await peer.close()
        await host.leave()
        await web.leave()

    asyncio.run(play())


def test_a_run_and_an_event_that_are_larger_than_a_message_come_elided(stage: Stage) -> None:
    """They cannot be made any more; an older database may have them."""
    stage.job("a", f"params: [text]\n{TRUE}")

    async def play() -> None:
        stage.start()
        web = await Web(stage.home).join()
        (run_id,) = await web.create("a", at=datetime.now(UTC) + timedelta(days=1), text="x")
        stage.scheduler.end()
        large = "y" * 1_200_000

        def grow(sql: sqlite3.Connection) -> None:
            for table in ("run", "event"):
                column = "doc" if table == "run" else "body"
                path = "$.args.text" if table == "run" else "$.run.args.text"
                sql.execute(
                    f"UPDATE {table} SET {column} = CAST(json_set(CAST({column} AS TEXT), ?, ?) AS BLOB) "
                    f"WHERE json_extract(CAST({column} AS TEXT), '$.run_id') = ?",
                    (path, large, run_id),
                )

        aged(stage, grow)
        await asyncio.to_thread(stage.scheduler.start)
        pages = await whole(web.peer)
        assert [name for page in pages for name in page.elided] == [run_id]
        assert [run.args for page in pages for run in page.runs] == [{}]
        events = await replayed(web.peer)
        assert [event.run_id for event in events if getattr(event, "elided", False)] == [run_id]  # type: ignore[union-attr]
        await web.leave()

    asyncio.run(play())


BAD: list[tuple[str, bytes, str]] = [
    ("SNAP", b'{"t":"snap","after":"runs"}', "bad_request"),
    ("SNAP", b'{"t":"snap","after":"live:-1"}', "bad_request"),
    ("SNAP", b'{"t":"snap","after":"ended:99999999999999999999"}', "bad_request"),
    ("SNAP", b'{"t":"snap","after":"live:\\u0661"}', "bad_request"),
    ("SNAP", b'{"t":"snap","since":"yesterday"}', "bad_request"),
    ("SNAP", b'{"t":"replay","since":0}', "verb"),
    ("REPLAY", b'{"t":"snap"}', "verb"),
    ("REPLAY", b'{"t":"replay","since":1,"prefix":"\xf4\x8f\xbf\xbf"}', "bad_request"),
    ("REPLAY", b'{"t":"replay","since":1,"prefix":"v1/ev/\xed\x9f\xbf"}', "bad_request"),
    ("REPLAY", b'{"t":"replay","since":1,"prefix":"v1/\\u0000"}', "bad_request"),
    ("REPLAY", b'{"t":"replay","since":-99999999999999999999999}', "floor"),
    ("REPLAY", b'{"t":"replay"}', "body"),
    ("REPLAY", b"[" * 9_000, "body"),
    ("REPLAY", encode(Request(request_id="x", actor="user:eve", do=CreateRun(job_id="a"))), "verb"),
    ("SNAP", encode(Request(request_id="x", actor="user:eve", do=CreateRun(job_id="a"))), "verb"),
    ("SNAP", encode(Consumed(name="eve", journal=1, cursor=0)), "verb"),
]


class _Sent:
    """A body that is sent as it is."""

    def __init__(self, body: bytes) -> None:
        self.body = body


async def asked(peer: Peer, verb: str, body: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the code of the refusal, or `ok`."""
    with monkeypatch.context() as patch:
        patch.setattr("apsis_bus.peer.encode", lambda sent: sent.body if isinstance(sent, _Sent) else encode(sent))
        try:
            await peer.request("scheduler", _Sent(body), verb=verb, timeout=20)  # type: ignore[arg-type]
        except BusRefused as refused:
            return refused.code
        return "ok"


def test_no_question_of_a_client_does_anything_or_ends_the_scheduler(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.start()
        pid = stage.scheduler.process.pid if stage.scheduler.process else 0
        peer = await client(stage)
        for verb, body, code in BAD:
            assert await asked(peer, verb, body, monkeypatch) == code, body[:80]
        for body in (
            b'{"t":"replay","since":99999999999999999999999999999}',
            b'{"t":"replay","since":0,"limit":99999999999999999999999}',
            b'{"t":"replay","since":0,"limit":-1,"prefix":""}',
        ):
            assert await asked(peer, "REPLAY", body, monkeypatch) == "ok", body
        assert stage.scheduler.is_ready()
        assert stage.states() == {}
        assert "Traceback" not in stage.scheduler.log()
        assert stage.scheduler.process is not None
        assert stage.scheduler.process.pid == pid
        await peer.close()

    asyncio.run(play())


def test_more_questions_than_there_is_time_for_are_refused_and_not_kept(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.start()
        web, peer = await Web(stage.home).join(), await client(stage)
        await web.create("a", count=200)
        answers = await asyncio.gather(
            *(peer.request("scheduler", Replay(since=0), verb="REPLAY", timeout=30) for _ in range(400)),
            return_exceptions=True,
        )
        refused = [answer.code for answer in answers if isinstance(answer, BusRefused)]
        assert set(refused) == {"busy"}
        assert len(answers) - len(refused) >= 8
        (run_id,) = await web.create("a")
        assert run_id
        await peer.close()
        await web.leave()

    asyncio.run(play())


async def consumed(peer: Peer, name: str, journal: int, cursor: int) -> str:
    try:
        body, _ = await peer.request(
            "scheduler", Consumed(name=name, journal=journal, cursor=cursor), timeout=10
        )  # fmt: skip
    except BusRefused as refused:
        return refused.code
    assert isinstance(decode(Registered, body), Registered)
    return "ok"


def test_events_that_a_registered_service_still_needs_are_kept_until_it_is_silent_for_a_month(stage: Stage) -> None:
    stage.job("a", TRUE)

    def older(sql: sqlite3.Connection) -> None:
        shift = int(MONTH.total_seconds() * 1e6)
        sql.execute("UPDATE event SET at = at - ?", (shift,))

    async def play() -> None:
        stage.start()
        web, alerts = await Web(stage.home).join(), Peer(stage.home, "alerts")
        await alerts.connect(10)
        await web.create("a", count=10)
        head = int(stage.query("SELECT value FROM v_meta WHERE key = 'head'")[0][0])
        journal = int(stage.query("SELECT value FROM v_meta WHERE key = 'journal'")[0][0])
        assert await consumed(alerts, "alerts", journal, 4) == "ok"
        assert await consumed(alerts, "alerts", journal + 1, 4) == "conflict"
        assert await consumed(alerts, "alerts", journal, head + 1_000) == "conflict"
        assert await consumed(alerts, "a/b", journal, 4) == "bad_request"
        stage.scheduler.end()
        aged(stage, older)
        await asyncio.to_thread(stage.scheduler.start)
        # all of them are a month old; the first four alone are needed by nobody
        await until(lambda: stage.query("SELECT min(id) FROM v_event") == [(5,)])
        assert await consumed(alerts, "late", journal, 2) == "floor"
        assert await consumed(alerts, "alerts", journal, 6) == "ok"
        stage.scheduler.end()

        def silent(sql: sqlite3.Connection) -> None:
            heard = to_micros(datetime.now(UTC) - MONTH)
            sql.execute("UPDATE meta SET value = ? WHERE key = 'consumers'", (f'{{"alerts":[6,{heard}]}}',))

        aged(stage, silent)
        heard: list[SysEvent] = []
        web.peer.subscribe(topics.sys_event("consumer_dropped"), lambda published: _keep(heard, published))
        await web.peer.subscribed()
        await asyncio.to_thread(stage.scheduler.start)
        await until(lambda: heard)
        assert heard[0].detail["name"] == "alerts"
        await until(lambda: stage.query("SELECT min(id) FROM v_event")[0][0] > 6)
        assert await consumed(alerts, "alerts", journal, 6) == "floor"
        await alerts.close()
        await web.leave()

    asyncio.run(play())


def _keep(heard: list[SysEvent], published: Published) -> None:
    heard.append(decode(SysEvent, published.body))


def test_an_answer_about_more_runs_than_a_message_carries_names_them_all(stage: Stage) -> None:
    """It was all done and committed: the answer must not end the scheduler, nor be told as a failure."""
    stage.job("a", f"params: [text]\n{TRUE}")

    async def play() -> None:
        stage.start()
        web = await Web(stage.home).join()
        made = await web.create("a", count=400, at=datetime.now(UTC) + timedelta(days=1), text="x" * 3_000)
        assert len(set(made)) == 400
        assert stage.scheduler.is_ready()
        await web.leave()

    asyncio.run(play())
