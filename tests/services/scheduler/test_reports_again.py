"""Reports that come twice, too early, out of order, or that cannot be: nothing but a gap stops the stream."""

import asyncio
from typing import Any

from scheduler_stage import Host, Stage, Web, until

from apsis.messages.dispatch import Finished, Lost, Report, Reports, Revoked, Started
from apsis.runs.run import Exit

TRUE = "program: {type: program, argv: [/bin/true]}\n"
AT = "2026-06-30T14:32:07.120000Z"


class Reporter(Host):
    """A supervisor that reports what the test says, and nothing by itself."""

    def say(self) -> None:
        """Send nothing but what the test sends."""

    def tell(self, *items: Report) -> None:
        body = Reports(host=self.name, epoch=self.epoch, boot=self.boot, items=list(items))
        self.peer.send("scheduler", body)


def done(seq: int, run_id: str, code: int = 0) -> Finished:
    return Finished(seq=seq, run_id=run_id, start=AT, end=AT, elapsed=0.1, exit=Exit(code=code), outputs={"output": 0})


def events(stage: Stage, run_id: str) -> list[str]:
    rows: list[Any] = stage.query(
        "SELECT json_extract(CAST(body AS TEXT), '$.event') FROM v_event WHERE run_id = ? ORDER BY id", run_id
    )
    return [event for (event,) in rows]


def test_what_the_table_of_states_refuses_is_recorded_acknowledged_and_changes_nothing(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.start()
        web, host = await Web(stage.home).join(), await Reporter(stage.home, finish=False).join()
        first, second = await web.create("a", count=2)
        await until(lambda: len(host.starts) == 2)
        host.tell(Started(seq=1, run_id=first, at=AT, pid=1), done(2, first))
        await until(lambda: stage.run(first).state == "success")
        # it has ended: none of these can be, and each is one number further
        host.tell(
            Started(seq=3, run_id=first, at=AT, pid=2),
            Revoked(seq=4, run_id=first, at=AT),
            Lost(seq=5, run_id=first, at=AT, reason="gone"),
            done(6, first, code=1),
        )
        await until(lambda: host.acked == 6)
        assert stage.run(first).state == "success"
        assert events(stage, first).count("refused") >= 3
        # and the stream goes on
        host.tell(Started(seq=7, run_id=second, at=AT, pid=3), done(8, second, code=4))
        await until(lambda: stage.run(second).state == "failure" and host.acked == 8)
        await host.leave()
        await web.leave()

    asyncio.run(play())


def test_a_gap_waits_and_what_came_before_is_acknowledged_again(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.start()
        web, host = await Web(stage.home).join(), await Reporter(stage.home, finish=False).join()
        (run_id,) = await web.create("a")
        await until(lambda: host.starts == [run_id])
        started, finished = Started(seq=1, run_id=run_id, at=AT, pid=1), done(2, run_id)
        host.tell(finished)
        host.tell(Started(seq=9, run_id=run_id, at=AT, pid=1))
        host.tell(started)
        await until(lambda: stage.run(run_id).state == "running" and host.acked == 1)
        for _ in range(20):
            host.tell(started)
            host.tell(finished, started)
        host.tell(started, finished)
        await until(lambda: stage.run(run_id).state == "success" and host.acked == 2)
        moved = events(stage, run_id)
        assert [moved.count(state) for state in ("starting", "running", "success", "refused")] == [1, 1, 1, 0]
        host.acked = 0
        host.tell(finished)
        await until(lambda: host.acked == 2)
        await host.leave()
        await web.leave()

    asyncio.run(play())
