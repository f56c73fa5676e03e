"""The websocket, by `docs/websocket.md`: what a client makes of the frames is what REST says."""

import random
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from web_stage import Mirror, Socket, Stage, until

from apsis.runs.states import State

WHOLE = {"order": "asc", "anchor": "now", "before": 500, "after": 500}


def rest(site: Stage, query: str = "") -> dict[str, dict[str, Any]]:
    rows = site.get(f"/runs?limit=1000&q={query}").json["runs"]
    return {row["run_id"]: row for row in rows}


def read_until(socket: Socket, mirror: Mirror, seq: int) -> None:
    """Take frames until the mirror has reached an event, or nothing more comes."""
    end = time.monotonic() + 15
    while mirror.seq < seq:
        assert time.monotonic() < end
        try:
            frame = socket.recv(1.0)
        except TimeoutError:
            return
        assert frame is not None
        mirror.take(frame)


def test_a_snapshot_then_deltas(site: Stage) -> None:
    run = site.scheduler.create("etl/load")
    site.caught_up()
    socket = site.socket()
    hello = socket.expect("hello")
    assert hello["seq"] == 1
    assert hello["inst"] == f"{site.scheduler.journal:016x}"
    assert {"v", "now", "hb", "user", "role", "build", "home", "limits"} <= set(hello)
    socket.send(t="sub", id=1, topic="runs", q="job:etl/", window=WHOLE)
    snap = socket.expect("snap")
    assert [row["run_id"] for row in snap["rows"]] == [run.run_id]
    assert (snap["seq"], snap["total"], snap["exact"], snap["before"], snap["after"]) == (1, 1, True, 0, 0)
    assert snap["range"] == [None, None]
    assert snap["counts"] == {"scheduled": 1}
    site.scheduler.change(run.run_id, State.RUNNING)
    delta = socket.expect("delta")
    assert (delta["from"], delta["seq"], delta["gone"]) == (1, 2, [])
    assert delta["rows"][0]["state"] == "running"
    assert delta["counts"] == {"running": 1}
    other = site.scheduler.create("report")
    delta = socket.expect("delta")
    assert (delta["rows"], delta["counts"]) == ([], {"running": 1, "scheduled": 1})
    site.scheduler.withdraw(run.run_id)
    assert socket.expect("delta")["gone"] == [run.run_id]
    assert other.run_id not in rest(site, "job:etl/")
    socket.close()


def test_the_first_change_after_quiet_comes_at_once_and_many_come_together(site: Stage) -> None:
    run = site.scheduler.create()
    site.caught_up()
    socket = site.socket()
    socket.send(t="sub", id=1, topic="runs", window=WHOLE)
    socket.expect("snap")
    time.sleep(0.3)
    begun = time.monotonic()
    site.scheduler.change(run.run_id, State.WAITING)
    socket.expect("delta")
    assert time.monotonic() - begun < 0.09, "no interval is waited for"
    chance = random.Random(1)
    begun = time.monotonic()
    for _ in range(20):
        site.scheduler.some_changes(50, chance)
    site.caught_up()
    mirror, frames = Mirror(seq=2), 0
    while mirror.seq < site.scheduler.head:
        frame = socket.expect("delta")
        mirror.take(frame)
        frames += 1
    assert frames <= 2 + (time.monotonic() - begun) / 0.1
    socket.close()


@pytest.mark.parametrize(("query", "before"), [("", 500), ("job:etl/ !state:skipped", 500), ("", 30)])
def test_two_thousand_changes_with_drops_end_as_rest_says(site: Stage, query: str, before: int) -> None:
    """The socket is cut again and again, the bus loses events, and web itself is killed once."""
    chance = random.Random(query + str(before))
    site.scheduler.loss = 0.05
    site.scheduler.some_changes(100, chance)
    site.caught_up()
    window = {"order": "asc", "anchor": "now", "before": before, "after": before}
    mirror, resumed = Mirror(), 0
    socket = site.socket()
    socket.send(t="sub", id=1, topic="runs", q=query, window=window)
    for step in range(40):
        site.scheduler.some_changes(50, chance)
        deadline = time.monotonic() + chance.uniform(0, 0.2)
        while time.monotonic() < deadline:
            try:
                frame = socket.recv(0.05)
            except TimeoutError:
                continue
            assert frame is not None
            mirror.take(frame)
        if step == 20:
            site.web.end(signal.SIGKILL)
            site.web.start()
        if mirror.seq >= 0 and (step == 20 or chance.random() < 0.5):
            socket.drop()
            socket = site.socket()
            again = {"id": 1, "topic": "runs", "q": query, "window": window, "seq": mirror.seq}
            again["range"] = mirror.facts["range"]
            socket.send(t="resume", inst=mirror.instance, subs=[again])
            resumed += 1
    site.scheduler.loss = 0.0
    site.scheduler.some_changes(1, chance)
    site.caught_up()
    read_until(socket, mirror, site.scheduler.head)
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
    socket.close()


def key(row: dict[str, Any]) -> tuple[int, int]:
    moment = datetime.fromisoformat(row["schedule_time"])
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1), int(row["run_id"][1:])


def test_another_window_is_a_new_snapshot(stage: Stage) -> None:
    """Also where it reaches below what is in memory."""
    stage.home.config.write_text("web: {port: 0}\nruns: {lookback: 86400}\n")
    stage.scheduler.past(300, days=5)
    stage.start()
    socket = stage.socket()
    socket.send(t="sub", id=1, topic="runs", window={"before": 10, "after": 10})
    snap = socket.expect("snap")
    assert (len(snap["rows"]), snap["before"], snap["after"], snap["total"]) == (20, 280, 0, 300)
    anchor = snap["range"][0]
    socket.send(t="window", id=1, window={"anchor": anchor, "before": 50, "after": 0, "order": "desc"})
    snap = socket.expect("snap")
    assert (len(snap["rows"]), snap["before"], snap["after"], snap["total"]) == (50, 230, 20, 300)
    numbers = [int(row["run_id"][1:]) for row in snap["rows"]]
    assert numbers == list(range(280, 230, -1))
    # An old run that is changed by a person is told, though the cache has never held it.
    stage.scheduler.change("r250", State.SKIPPED)
    delta = socket.expect("delta")
    assert [row["run_id"] for row in delta["rows"]] == ["r250"]
    assert delta["total"] == 300
    socket.send(t="window", id=1, window={"anchor": "someday"})
    assert socket.expect("err")["code"] == "bad_request"
    socket.close()


def test_a_run_and_its_log(site: Stage) -> None:
    run = site.scheduler.create()
    site.scheduler.change(run.run_id, State.STARTING)
    site.caught_up()
    socket = site.socket()
    inst = socket.expect("hello")["inst"]
    socket.send(t="sub", id=2, topic="run", run=run.run_id)
    snap = socket.expect("snap")
    assert [entry["event"] for entry in snap["log"]] == ["scheduled", "starting"]
    assert snap["run"]["state"] == "starting"
    site.scheduler.create("other")
    site.scheduler.change(run.run_id, State.RUNNING)
    delta = socket.expect("delta")
    assert ([entry["event"] for entry in delta["log"]], delta["run"]["state"]) == (["running"], "running")
    assert delta["from"] == snap["seq"]
    socket.drop()
    site.web.end(signal.SIGKILL)
    site.scheduler.change(run.run_id, State.SUCCESS)
    site.web.start()
    socket = site.socket()
    socket.send(t="resume", inst=inst, subs=[{"id": 2, "topic": "run", "run": run.run_id, "seq": delta["seq"]}])
    assert socket.expect("resumed")["from"] == delta["seq"]
    delta = socket.expect("delta")
    assert ([entry["event"] for entry in delta["log"]], delta["run"]["state"]) == (["success"], "success")
    socket.send(t="sub", id=3, topic="run", run="r99")
    error = socket.expect("err")
    assert (error["id"], error["code"]) == (3, "not_found")
    socket.close()


def test_a_resume_that_cannot_be_is_a_snapshot_that_says_why(site: Stage) -> None:
    site.scheduler.create()
    site.caught_up()
    socket = site.socket()
    inst = socket.expect("hello")["inst"]
    socket.send(t="resume", inst="0" * 16, subs=[{"id": 1, "topic": "runs", "seq": 1}])
    assert socket.expect("snap")["reset"] == "instance"
    socket.send(t="resume", inst=inst, subs=[{"id": 2, "topic": "runs", "seq": 99}])
    assert socket.expect("snap")["reset"] == "history"
    socket.send(t="resume", inst=inst, subs=[{"id": 4, "topic": "runs", "seq": 1}])
    assert socket.expect("snap")["reset"] == "window"
    socket.send(
        t="resume", inst=inst, subs=[{"id": 3, "topic": "runs", "q": "sched:-1h..", "seq": 1, "range": [None, None]}]
    )
    assert socket.expect("snap")["reset"] == "filter"
    socket.close()


def test_jobs_and_health(site: Stage) -> None:
    site.scheduler.job("etl/load")
    site.caught_up()
    socket = site.socket()
    socket.send(t="sub", id=4, topic="jobs")
    assert [job["job_id"] for job in socket.expect("snap")["rows"]] == ["etl/load"]
    site.scheduler.job("report")
    delta = socket.expect("delta")
    assert ([job["job_id"] for job in delta["rows"]], delta["gone"]) == (["report"], [])
    site.scheduler.remove_job("etl/load")
    assert socket.expect("delta")["gone"] == ["etl/load"]
    site.scheduler.complain([{"file": "x.yaml", "line": 1, "column": 1, "message": "bad"}])
    assert socket.expect("delta")["errors"][0]["file"] == "x.yaml"
    run = site.scheduler.create("report", datetime(2031, 1, 1, tzinfo=UTC))
    assert socket.expect("delta")["rows"][0]["next"] == run.schedule_time
    socket.send(t="sub", id=5, topic="health")
    health = socket.expect("snap")["health"]
    assert health["status"] == "fail"
    site.store.start()
    until(lambda: socket.expect("delta")["health"]["checks"] != health["checks"])
    socket.close()


def test_what_a_client_may_not_send(site: Stage) -> None:
    socket = site.socket()
    socket.send(t="sub", id=1, topic="runs", q="job:etl/ state:faliure")
    error = socket.expect("err")
    assert (error["id"], error["code"], error["at"], error["hint"]) == (
        1,
        "bad_filter",
        [15, 22],
        "did you mean failure?",
    )
    socket.send(t="dance", id=7)
    assert socket.expect("err")["id"] == 7
    socket.send(t="sub", id="x", topic="runs")
    assert socket.expect("err")["code"] == "bad_frame"
    socket.send(t="sub", id=8, topic="weather")
    assert socket.expect("err")["id"] == 8
    socket.send(t="ping", n=5)
    assert socket.expect("pong")["n"] == 5
    for index in range(32):
        socket.send(t="sub", id=index + 10, topic="runs", window={"before": 1, "after": 1})
        socket.expect("snap")
        time.sleep(0.03)
    socket.send(t="sub", id=50, topic="runs")
    assert socket.expect("err")["code"] == "too_many"
    socket.send(t="unsub", id=10)
    socket.send(t="sub", id=50, topic="runs")
    assert socket.expect("snap")["id"] == 50
    socket.send(t="sub", id=50, topic="runs")
    assert socket.closed() == 4409
    socket = site.socket()
    socket.raw("[1]")
    assert socket.closed() == 4400
    socket = site.socket()
    for _ in range(100):
        socket.connection.ping  # noqa: B018 - the client is alive
        try:
            socket.send(t="ping")
        except Exception:
            break
    assert socket.closed() == 4429
    socket = site.socket()
    socket.raw("x" * (64 * 1024 + 1))
    assert socket.closed() in (1009, None)


def test_a_restart_says_bye_and_the_page_goes_on(site: Stage) -> None:
    site.scheduler.create()
    site.caught_up()
    socket = site.socket()
    socket.send(t="sub", id=1, topic="runs", window=WHOLE)
    mirror = Mirror()
    while mirror.seq < 0:
        frame = socket.recv()
        assert frame is not None
        mirror.take(frame)
    assert site.web.end() == 0
    assert socket.expect("bye")["after"] == 1000
    assert socket.closed() == 1012
    site.scheduler.create()
    site.web.start()
    socket = site.socket()
    socket.send(
        t="resume",
        inst=mirror.instance,
        subs=[{"id": 1, "topic": "runs", "window": WHOLE, "seq": mirror.seq, "range": [None, None]}],
    )
    assert socket.expect("resumed")["from"] == mirror.seq
    read_until(socket, mirror, site.scheduler.head)
    assert mirror.rows == rest(site)
    assert mirror.snaps == 1
    socket.close()


def test_a_client_that_does_not_read_costs_no_memory(site: Stage) -> None:
    chance = random.Random(9)
    site.scheduler.some_changes(400, chance)
    site.caught_up()
    slow, quick = site.socket(), site.socket()
    # Until its reads are begun, this client takes what its small queue and the kernel's buffers hold, and no more.
    for sub_id in range(1, 9):
        slow.send(t="sub", id=sub_id, topic="runs", window=WHOLE)
    quick.send(t="sub", id=1, topic="runs", window=WHOLE)
    mirror = Mirror()
    read_until(quick, mirror, site.scheduler.head)
    before = site.web.rss()
    for _ in range(100):
        site.scheduler.some_changes(50, chance)
    site.scheduler.create()
    site.caught_up()
    read_until(quick, mirror, site.scheduler.head)
    rows = rest(site)
    assert set(mirror.rows) <= set(rows) or len(rows) == 1000
    grown = site.web.rss() - before
    # 5,000 changes for 8 subscriptions would be 40 MB of frames; the cache itself grows by the runs.
    assert grown < 25e6, grown
    slow.drop()
    quick.close()


def test_web_is_lean_at_start(site: Stage) -> None:
    assert site.web.rss() < 48e6


def test_another_database_is_another_instance(site: Stage) -> None:
    """After a restore nothing of the old history is shown, and sockets are told."""
    site.scheduler.create("old")
    site.caught_up()
    socket = site.socket()
    old = socket.expect("hello")["inst"]
    socket.send(t="sub", id=1, topic="runs", window=WHOLE)
    assert len(socket.expect("snap")["rows"]) == 1
    site.scheduler.close()
    for name in ("apsis.db", "apsis.db-wal", "apsis.db-shm"):
        (site.home.database.parent / name).unlink(missing_ok=True)
    site._scheduler = None
    run = site.scheduler.create("new")
    site.scheduler.join()
    hello = socket.expect("hello")
    assert hello["inst"] != old
    snap = socket.expect("snap")
    assert snap["reset"] in ("instance", "history")
    assert [row["job_id"] for row in snap["rows"]] == [run.job_id]
    socket.close()
