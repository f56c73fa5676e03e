"""The websocket, by `docs/websocket.md`: what a client makes of the frames is what REST says."""

import json
import random
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from web_stage import TOKEN, Mirror, Socket, Stage, until

from apsis.runs.states import State

WHOLE = {"order": "asc", "anchor": "now", "before": 500, "after": 500}


def rest(site: Stage, query: str = "") -> dict[str, dict[str, Any]]:
    rows = site.get(f"/runs?limit=1000&q={query}").json["runs"]
    return {row["run_id"]: row for row in rows}


def read_until(client: Socket, mirror: Mirror, seq: int) -> None:
    """Take frames until the mirror has reached an event, or nothing more comes."""
    end = time.monotonic() + 15
    while mirror.seq < seq:
        assert time.monotonic() < end
        try:
            frame = client.recv(1.0)
        except TimeoutError:
            return
        assert frame is not None
        mirror.take(frame)


def test_a_snapshot_then_deltas(site: Stage) -> None:
    run = site.scheduler.create("etl/load")
    site.caught_up()
    client = site.socket()
    hello = client.expect("hello")
    assert hello["seq"] == 1
    assert hello["inst"] == f"{site.scheduler.journal:016x}"
    assert {"v", "now", "hb", "user", "role", "build", "home", "limits"} <= set(hello)
    client.send(t="sub", id=1, topic="runs", q="job:etl/", window=WHOLE)
    snap = client.expect("snap")
    assert [row["run_id"] for row in snap["rows"]] == [run.run_id]
    assert (snap["seq"], snap["total"], snap["exact"], snap["before"], snap["after"]) == (1, 1, True, 0, 0)
    assert snap["range"] == [None, None]
    assert snap["counts"] == {"scheduled": 1}
    site.scheduler.change(run.run_id, State.RUNNING)
    delta = client.expect("delta")
    assert (delta["from"], delta["seq"], delta["gone"]) == (1, 2, [])
    assert delta["rows"][0]["state"] == "running"
    assert delta["counts"] == {"running": 1}
    other = site.scheduler.create("report")
    delta = client.expect("delta")
    assert (delta["rows"], delta["counts"]) == ([], {"running": 1, "scheduled": 1})
    site.scheduler.withdraw(run.run_id)
    assert client.expect("delta")["gone"] == [run.run_id]
    assert other.run_id not in rest(site, "job:etl/")
    client.close()


def test_the_first_change_after_quiet_comes_at_once_and_many_come_together(site: Stage) -> None:
    run = site.scheduler.create()
    site.caught_up()
    client = site.socket()
    client.send(t="sub", id=1, topic="runs", window=WHOLE)
    client.expect("snap")
    time.sleep(0.3)
    begun = time.monotonic()
    site.scheduler.change(run.run_id, State.WAITING)
    client.expect("delta")
    assert time.monotonic() - begun < 0.09, "no interval is waited for"
    chance = random.Random(1)
    begun = time.monotonic()
    for _ in range(20):
        site.scheduler.some_changes(50, chance)
    site.caught_up()
    mirror, frames = Mirror(seq=2), 0
    while mirror.seq < site.scheduler.head:
        frame = client.expect("delta")
        mirror.take(frame)
        frames += 1
    assert frames <= 2 + (time.monotonic() - begun) / 0.1
    client.close()


@pytest.mark.parametrize(("query", "before"), [("", 500), ("job:etl/ !state:skipped", 500), ("", 30)])
def test_two_thousand_changes_with_drops_end_as_rest_says(site: Stage, query: str, before: int) -> None:
    """The socket is cut again and again, the bus loses events, and web itself is killed once."""
    chance = random.Random(query + str(before))
    site.scheduler.loss = 0.05
    site.scheduler.some_changes(100, chance)
    site.caught_up()
    window = {"order": "asc", "anchor": "now", "before": before, "after": before}
    mirror, resumed = Mirror(), 0
    client = site.socket()
    client.send(t="sub", id=1, topic="runs", q=query, window=window)
    for step in range(40):
        site.scheduler.some_changes(50, chance)
        deadline = time.monotonic() + chance.uniform(0, 0.2)
        while time.monotonic() < deadline:
            try:
                frame = client.recv(0.05)
            except TimeoutError:
                continue
            assert frame is not None
            mirror.take(frame)
        if step == 20:
            site.web.end(signal.SIGKILL)
            site.web.start()
        if mirror.seq >= 0 and (step == 20 or chance.random() < 0.5):
            client.drop()
            client = site.socket()
            again = {"id": 1, "topic": "runs", "q": query, "window": window, "seq": mirror.seq}
            again["range"] = mirror.facts["range"]
            client.send(t="resume", inst=mirror.instance, subs=[again])
            resumed += 1
    site.scheduler.loss = 0.0
    site.scheduler.some_changes(1, chance)
    site.caught_up()
    read_until(client, mirror, site.scheduler.head)
    assert resumed > 5
    assert mirror.snaps == 1, "nothing but the first snapshot was needed"
    expected = rest(site, query.replace(" ", "%20"))
    assert mirror.facts["total"] == len(expected)
    # Of a window that holds not all, what it covers must be there, and nothing else.
    low, high = (None if end is None else tuple(map(int, end.split("."))) for end in mirror.facts["range"])
    inside = {
        run_id: row
        for run_id, row in expected.items()
        if (low is None or low <= key(row)) and (high is None or key(row) <= high)
    }
    assert mirror.rows == inside
    assert mirror.facts["before"] + mirror.facts["after"] + len(inside) == len(expected)
    if before == 500:
        assert inside == expected
    else:
        assert len(inside) < len(expected)
    client.close()


def key(row: dict[str, Any]) -> tuple[int, int]:
    moment = datetime.fromisoformat(row["schedule_time"])
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1), int(row["run_id"][1:])


def test_another_window_is_a_new_snapshot(stage: Stage) -> None:
    """Also where it reaches below what is in memory."""
    stage.home.config.write_text("web: {port: 0}\nruns: {lookback: 86400}\n")
    stage.scheduler.past(300, days=5)
    stage.start()
    client = stage.socket()
    client.send(t="sub", id=1, topic="runs", window={"before": 10, "after": 10})
    snap = client.expect("snap")
    assert (len(snap["rows"]), snap["before"], snap["after"], snap["total"]) == (20, 280, 0, 300)
    anchor = snap["range"][0]
    client.send(t="window", id=1, window={"anchor": anchor, "before": 50, "after": 0, "order": "desc"})
    snap = client.expect("snap")
    assert (len(snap["rows"]), snap["before"], snap["after"], snap["total"]) == (50, 230, 20, 300)
    numbers = [int(row["run_id"][1:]) for row in snap["rows"]]
    assert numbers == list(range(280, 230, -1))
    # An old run that is changed by a person is told, though the cache has never held it.
    stage.scheduler.change("r250", State.SKIPPED)
    delta = client.expect("delta")
    assert [row["run_id"] for row in delta["rows"]] == ["r250"]
    assert delta["total"] == 300
    client.send(t="window", id=1, window={"anchor": anchor, "before": 50, "after": 0, "order": "desc"})
    snap = client.expect("snap")
    assert [int(row["run_id"][1:]) for row in snap["rows"]] == numbers, "it is there once"
    assert next(row for row in snap["rows"] if row["run_id"] == "r250")["state"] == "skipped"
    client.send(t="window", id=1, window={"anchor": "someday"})
    assert client.expect("err")["code"] == "bad_request"
    client.close()


def test_a_run_and_its_log(site: Stage) -> None:
    run = site.scheduler.create()
    site.scheduler.change(run.run_id, State.STARTING)
    site.caught_up()
    client = site.socket()
    inst = client.expect("hello")["inst"]
    client.send(t="sub", id=2, topic="run", run=run.run_id)
    snap = client.expect("snap")
    assert [entry["event"] for entry in snap["log"]] == ["scheduled", "starting"]
    assert snap["run"]["state"] == "starting"
    site.scheduler.create("other")
    site.scheduler.change(run.run_id, State.RUNNING)
    delta = client.expect("delta")
    assert ([entry["event"] for entry in delta["log"]], delta["run"]["state"]) == (["running"], "running")
    assert delta["from"] == snap["seq"]
    client.drop()
    site.web.end(signal.SIGKILL)
    site.scheduler.change(run.run_id, State.SUCCESS)
    site.web.start()
    client = site.socket()
    client.send(t="resume", inst=inst, subs=[{"id": 2, "topic": "run", "run": run.run_id, "seq": delta["seq"]}])
    assert client.expect("resumed")["from"] == delta["seq"]
    delta = client.expect("delta")
    assert ([entry["event"] for entry in delta["log"]], delta["run"]["state"]) == (["success"], "success")
    client.send(t="sub", id=3, topic="run", run="r99")
    error = client.expect("err")
    assert (error["id"], error["code"]) == (3, "not_found")
    client.close()


def test_a_resume_that_cannot_be_is_a_snapshot_that_says_why(site: Stage) -> None:
    site.scheduler.create()
    site.caught_up()
    client = site.socket()
    inst = client.expect("hello")["inst"]
    client.send(t="resume", inst="0" * 16, subs=[{"id": 1, "topic": "runs", "seq": 1}])
    assert client.expect("snap")["reset"] == "instance"
    client.send(t="resume", inst=inst, subs=[{"id": 2, "topic": "runs", "seq": 99}])
    assert client.expect("snap")["reset"] == "history"
    client.send(t="resume", inst=inst, subs=[{"id": 4, "topic": "runs", "seq": 1}])
    assert client.expect("snap")["reset"] == "window"
    client.send(
        t="resume", inst=inst, subs=[{"id": 3, "topic": "runs", "q": "sched:-1h..", "seq": 1, "range": [None, None]}]
    )
    assert client.expect("snap")["reset"] == "filter"
    client.close()


def test_jobs_and_health(site: Stage) -> None:
    site.scheduler.job("etl/load")
    site.caught_up()
    client = site.socket()
    client.send(t="sub", id=4, topic="jobs")
    assert [job["job_id"] for job in client.expect("snap")["rows"]] == ["etl/load"]
    site.scheduler.job("report")
    delta = client.expect("delta")
    assert ([job["job_id"] for job in delta["rows"]], delta["gone"]) == (["report"], [])
    site.scheduler.remove_job("etl/load")
    assert client.expect("delta")["gone"] == ["etl/load"]
    site.scheduler.complain([{"file": "x.yaml", "line": 1, "column": 1, "message": "bad"}])
    assert client.expect("delta")["errors"][0]["file"] == "x.yaml"
    run = site.scheduler.create("report", datetime(2031, 1, 1, tzinfo=UTC))
    assert client.expect("delta")["rows"][0]["next"] == run.schedule_time
    client.send(t="sub", id=5, topic="health")
    health = client.expect("snap")["health"]
    assert health["status"] == "fail"
    site.store.start()
    until(lambda: client.expect("delta")["health"]["checks"] != health["checks"])
    client.close()


def test_what_a_client_may_not_send(site: Stage) -> None:
    client = site.socket()
    client.send(t="sub", id=1, topic="runs", q="job:etl/ state:faliure")
    error = client.expect("err")
    assert (error["id"], error["code"], error["at"], error["hint"]) == (
        1,
        "bad_filter",
        [15, 22],
        "did you mean failure?",
    )
    client.send(t="dance", id=7)
    assert client.expect("err")["id"] == 7
    client.send(t="sub", id="x", topic="runs")
    assert client.expect("err")["code"] == "bad_frame"
    client.send(t="sub", id=8, topic="weather")
    assert client.expect("err")["id"] == 8
    client.send(t="ping", n=5)
    assert client.expect("pong")["n"] == 5
    for index in range(32):
        client.send(t="sub", id=index + 10, topic="runs", window={"before": 1, "after": 1})
        client.expect("snap")
        time.sleep(0.03)
    client.send(t="sub", id=50, topic="runs")
    assert client.expect("err")["code"] == "too_many"
    client.send(t="unsub", id=10)
    client.send(t="sub", id=50, topic="runs")
    assert client.expect("snap")["id"] == 50
    client.send(t="sub", id=50, topic="runs")
    assert client.closed() == 4409
    client = site.socket()
    client.raw("[1]")
    assert client.closed() == 4400
    client = site.socket()
    for _ in range(100):
        client.connection.ping  # noqa: B018 - the client is alive
        try:
            client.send(t="ping")
        except Exception:
            break
    assert client.closed() == 4429
    client = site.socket()
    client.raw("x" * (64 * 1024 + 1))
    assert client.closed() in (1009, None)


def test_a_restart_says_bye_and_the_page_goes_on(site: Stage) -> None:
    site.scheduler.create()
    site.caught_up()
    client = site.socket()
    client.send(t="sub", id=1, topic="runs", window=WHOLE)
    mirror = Mirror()
    while mirror.seq < 0:
        frame = client.recv()
        assert frame is not None
        mirror.take(frame)
    assert site.web.end() == 0
    assert client.expect("bye")["after"] == 1000
    assert client.closed() == 1012
    site.scheduler.create()
    site.web.start()
    client = site.socket()
    client.send(
        t="resume",
        inst=mirror.instance,
        subs=[{"id": 1, "topic": "runs", "window": WHOLE, "seq": mirror.seq, "range": [None, None]}],
    )
    assert client.expect("resumed")["from"] == mirror.seq
    read_until(client, mirror, site.scheduler.head)
    assert mirror.rows == rest(site)
    assert mirror.snaps == 1
    client.close()


def test_a_client_that_does_not_read_costs_no_memory(site: Stage) -> None:
    chance = random.Random(9)
    site.scheduler.some_changes(600, chance)
    site.caught_up()
    quick = site.socket()
    quick.send(t="sub", id=1, topic="runs", window=WHOLE)
    mirror = Mirror()
    read_until(quick, mirror, site.scheduler.head)
    with silent_client(site, subscriptions=16):
        before = site.web.rss()
        written = 0
        for _ in range(40):
            site.scheduler.some_changes(40, chance)
            read_until(quick, mirror, site.scheduler.head)
            written = max(written, site.web.rss() - before)
            time.sleep(0.1)
    assert mirror.rows == rest(site), "others are served meanwhile"
    # 40 deltas for each of 16 subscriptions, of some 40 rows of 800 bytes: 20 MB if they piled up.
    assert written < 8e6, written


@contextmanager
def silent_client(site: Stage, subscriptions: int) -> Iterator[None]:
    """Open a websocket by hand, subscribe, and never read."""
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, _, port = site.web.address.removeprefix("http://").partition(":")
        raw.connect((host, int(port)))
        raw.sendall(
            f"GET /api/v1/ws HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: apsis.v1.json\r\n\r\n".encode()
        )
        for sub_id in range(subscriptions):
            text = json.dumps({"t": "sub", "id": sub_id, "topic": "runs", "window": WHOLE, "pad": " " * 60}).encode()
            # A masked text frame of 126 to 65535 bytes, with a mask of zeros.
            assert len(text) >= 126
            raw.sendall(b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text)
        until(lambda: site.get("/stats").json["websockets"] == 2)
        yield


def test_web_is_lean_at_start(site: Stage) -> None:
    assert site.web.rss() < 48e6


def test_another_database_is_another_instance(site: Stage) -> None:
    """After a restore nothing of the old history is shown, and sockets are told."""
    site.scheduler.create("old")
    site.caught_up()
    client = site.socket()
    old = client.expect("hello")["inst"]
    client.send(t="sub", id=1, topic="runs", window=WHOLE)
    assert len(client.expect("snap")["rows"]) == 1
    site.scheduler.close()
    for name in ("apsis.db", "apsis.db-wal", "apsis.db-shm"):
        (site.home.database.parent / name).unlink(missing_ok=True)
    site._scheduler = None
    run = site.scheduler.create("new")
    site.scheduler.join()
    hello = client.expect("hello")
    assert hello["inst"] != old
    snap = client.expect("snap")
    assert snap["reset"] in ("instance", "history")
    assert [row["job_id"] for row in snap["rows"]] == [run.job_id]
    client.close()
