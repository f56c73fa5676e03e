"""Events for people's own programs: three lines, a cursor that survives, and words when something is lost."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest
from bus_stage import HubProcess, Journal, joined, until

from apsis.errors import ConfigError
from apsis.home import Home
from apsis_bus import Events, EventsLost, events


async def first(stream: Events, count: int) -> list[int]:
    got: list[int] = []
    async with aclosing(aiter(stream)) as each:
        async for event in each:
            got.append(event.id)
            if len(got) == count:
                break
    return got


def test_all_events_since_the_beginning(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler:
            journal = Journal(scheduler)
            journal.commit(130)
            assert await first(events(hub.home.root, since=0), 130) == list(range(1, 131))

    asyncio.run(scenario())


def test_without_a_cursor_one_hears_what_comes_from_now_on(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler:
            journal = Journal(scheduler)
            journal.commit(10)
            journal.beat()
            await scheduler.subscribed()
            task = asyncio.create_task(first(events(hub.home.root), 3))
            while not task.done():
                journal.commit(1)
                await asyncio.sleep(0.01)
            got = task.result()
            assert got == [got[0], got[0] + 1, got[0] + 2]
            assert got[0] > 10

    asyncio.run(scenario())


def test_an_event_is_given_again_until_the_loop_goes_on(hub: HubProcess, tmp_path: Path) -> None:
    async def scenario() -> None:
        cursor = tmp_path / "cursor"
        async with joined(hub.home, "scheduler") as scheduler:
            journal = Journal(scheduler)
            journal.commit(10)
            assert await first(events(hub.home.root, cursor=cursor, since=0), 4) == [1, 2, 3, 4]
            # 4 was being handled when the loop was broken off
            assert await first(events(hub.home.root, cursor=cursor), 4) == [4, 5, 6, 7]
            assert await first(events(hub.home.root, cursor=cursor), 4) == [7, 8, 9, 10]
        assert [path.name for path in tmp_path.iterdir()] == ["cursor"]

    asyncio.run(scenario())


def test_a_slow_program_gets_everything_and_memory_stays_bounded(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler:
            journal = Journal(scheduler, page=500)
            journal.commit(6_000, publish=False)
            stream = events(hub.home.root, since=0)
            got: list[int] = []
            most = 0
            async with aclosing(aiter(stream)) as each:
                async for event in each:
                    got.append(event.id)
                    most = max(most, len(stream._queue))
                    if len(got) % 100 == 0:
                        await asyncio.sleep(0.001)
                        journal.commit(1)
                    if event.id == 6_000:
                        break
            assert got == list(range(1, 6_001))
            assert most < 3_000

    asyncio.run(scenario())


def test_a_topic_prefix_chooses(hub: HubProcess, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler:
            journal = Journal(scheduler)
            journal.commit(5)
            assert await first(events(hub.home.root, since=0, filter="v1/ev/sys/"), 5) == [1, 2, 3, 4, 5]
            cursor = tmp_path / "cursor"
            nothing = events(hub.home.root, since=0, cursor=cursor, filter="v1/ev/run/")
            task = asyncio.create_task(first(nothing, 1))
            # what nobody wants moves the cursor all the same
            await until(lambda: cursor.exists() and b'"event":5' in cursor.read_bytes())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(scenario())


def test_lost_events_are_said_or_skipped_as_asked(hub: HubProcess, tmp_path: Path) -> None:
    async def scenario() -> None:
        cursor = tmp_path / "cursor"
        async with joined(hub.home, "scheduler") as scheduler:
            journal = Journal(scheduler)
            journal.commit(100, publish=False)
            journal.floor = 50
            with pytest.raises(EventsLost, match="no longer kept"):
                await first(events(hub.home.root, cursor=cursor, since=3, on_gap="raise"), 1)
            task = asyncio.create_task(first(events(hub.home.root, cursor=cursor, since=3, on_gap="skip"), 2))
            while not task.done():
                journal.commit(1)
                await asyncio.sleep(0.01)
            assert task.result()[0] > 100

    asyncio.run(scenario())


@contextmanager
def scheduler_in_a_thread(home: Home, count: int) -> Iterator[None]:
    """A scheduler with some events, beside a test that blocks."""
    ready = threading.Event()
    over = threading.Event()

    async def live() -> None:
        async with joined(home, "scheduler") as scheduler:
            Journal(scheduler).commit(count)
            ready.set()
            await until(over.is_set, 60)

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_plain_for_loop_serves(hub: HubProcess, tmp_path: Path) -> None:
    cursor = tmp_path / "cursor"
    with scheduler_in_a_thread(hub.home, 20):
        got = []
        for event in events(hub.home.root, cursor=cursor, since=0):
            got.append(event.id)
            if len(got) == 7:
                break
        assert got == list(range(1, 8))
        for event in events(hub.home.root, cursor=cursor):
            assert event.id == 7
            break


def test_three_lines_of_a_users_program(hub: HubProcess) -> None:
    program = "from apsis_bus import events\nfor event in events(since=0):\n    print(event.id, flush=True)\n"
    with scheduler_in_a_thread(hub.home, 3):
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE, env={"APSIS_HOME": str(hub.home.root)}, cwd="/",
        )  # fmt: skip
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(3)] == [b"1\n", b"2\n", b"3\n"]
        process.kill()
        process.communicate()


def test_a_cursor_file_that_is_none_is_said_so(home: Home, tmp_path: Path) -> None:
    (tmp_path / "cursor").write_text("hm")
    with pytest.raises(ConfigError, match="is no cursor"):
        events(home.root, cursor=tmp_path / "cursor")
    with pytest.raises(ConfigError, match="no home"):
        events(tmp_path / "nowhere")
