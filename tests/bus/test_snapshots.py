"""Where events can no longer be had: a snapshot, and on from its head. For followers, and for people's programs."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from bus_stage import NOW, HubProcess, Journal, a_run, client_name, joined, until

from apsis.messages.events import Event, RunEvent, SysEvent
from apsis.messages.snapshots import Snapshot
from apsis_bus import Events, events
from apsis_bus.follower import Follower
from apsis_bus.peer import Peer


class Reader:
    """A follower's owner that takes snapshots: what it was given, in order."""

    def __init__(self, peer: Peer, cursor: int | None, journal: int) -> None:
        self.events: list[int] = []
        self.resets: list[str] = []
        self.pages: list[Snapshot] = []
        self.wholes: list[tuple[int, int]] = []
        self.follower = Follower(peer, cursor, journal, self.take, self.resets.append, self)
        self.follower.start()

    def take(self, events: Sequence[Event]) -> None:
        self.events += [event.id for event in events]

    def since(self) -> str:
        return NOW

    def page(self, page: Snapshot) -> None:
        self.pages.append(page)

    def whole(self, journal: int, head: int, now: str) -> None:
        self.wholes.append((journal, head))

    @property
    def runs(self) -> list[str]:
        return [run.run_id for page in self.pages for run in page.runs]


def test_below_the_floor_a_follower_takes_a_snapshot_and_goes_on_from_its_head(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler, joined(hub.home, "alerts") as peer:
            journal = Journal(scheduler)
            journal.commit(100, publish=False)
            journal.floor, journal.runs = 60, [a_run(n) for n in range(1, 6)]
            reader = Reader(peer, 5, 77)
            await until(lambda: reader.wholes)
            journal.commit(3)
            await until(lambda: len(reader.events) == 3)
            assert (reader.resets, reader.wholes, reader.events) == (["floor"], [(77, 100)], [101, 102, 103])
            assert reader.runs == ["r1", "r2", "r3", "r4", "r5"]
            assert {snap.since for snap in journal.snaps} == {NOW}
            reader.follower.stop()

    asyncio.run(scenario())


def test_what_happens_while_a_snapshot_is_taken_comes_after_it_as_events(hub: HubProcess) -> None:
    """The head of the first page counts: what later pages show of newer things comes again, and nothing is missed."""

    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler, joined(hub.home, "alerts") as peer:
            journal = Journal(scheduler)
            journal.commit(10, publish=False)
            journal.floor, journal.runs = 8, [a_run(n) for n in range(1, 8)]
            journal.before_page = lambda: journal.commit(1) if journal.snaps[1:] else None
            reader = Reader(peer, 1, 77)
            await until(lambda: reader.wholes and reader.events[-1:] == [journal.head])
            assert reader.wholes == [(77, 10)]
            assert reader.events == [11, 12, 13]
            reader.follower.stop()

    asyncio.run(scenario())


def test_another_database_leads_to_its_snapshot_also_in_the_middle_of_one(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler, joined(hub.home, "alerts") as peer:
            journal = Journal(scheduler)
            journal.commit(10)
            journal.runs = [a_run(n) for n in range(1, 6)]
            reader = Reader(peer, 0, 77)
            await until(lambda: len(reader.events) == 10)

            def change_once() -> None:
                if len(journal.snaps) == 2:
                    journal.number = 79

            journal.before_page = change_once
            journal.number = 78
            journal.beat()
            await until(lambda: reader.wholes)
            assert reader.resets == ["journal", "journal"]
            assert reader.wholes == [(79, 10)]
            assert reader.runs[-5:] == ["r1", "r2", "r3", "r4", "r5"]
            journal.commit(2)
            await until(lambda: reader.events[10:] == [11, 12])
            assert (reader.follower.cursor, reader.follower.journal) == (12, 79)
            reader.follower.stop()

    asyncio.run(scenario())


def test_a_snapshot_waits_for_a_scheduler_that_is_away_and_for_a_reader_that_rests(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, client_name()) as peer:
            reader = Reader(peer, 1, 77)
            async with joined(hub.home, "scheduler") as scheduler:
                journal = Journal(scheduler)
                journal.commit(10, publish=False)
                journal.floor, journal.runs = 8, [a_run(n) for n in range(1, 8)]
                journal.before_page = lambda: reader.follower.rest() if len(journal.snaps) == 2 else None
                await until(lambda: len(reader.pages) == 2)
                # it rests: no further page is asked for
                await peer.subscribed()
                assert len(journal.snaps) == 2
                reader.follower.resume()
                await until(lambda: reader.wholes == [(77, 10)])
                assert len(reader.runs) == 7
            reader.follower.stop()

    asyncio.run(scenario())


async def collect(stream: Events, until_id: int) -> list[Event]:
    got: list[Event] = []
    async with aclosing(aiter(stream)) as each:
        async for event in each:
            got.append(event)
            if event.id == until_id and not is_row(event):
                break
    return got


def is_row(event: Event) -> bool:
    return isinstance(event, RunEvent) and event.event == "snapshot"


def test_a_program_that_was_away_too_long_is_told_so_and_given_what_there_is(hub: HubProcess, tmp_path: Path) -> None:
    async def scenario() -> None:
        cursor = tmp_path / "cursor"
        async with joined(hub.home, "scheduler") as scheduler:
            journal = Journal(scheduler)
            journal.commit(5)
            await collect(events(hub.home.root, cursor=cursor, since=0), 3)
            journal.commit(95)
            journal.floor, journal.runs = 60, [a_run(n) for n in range(1, 6)]
            task = asyncio.create_task(collect(events(hub.home.root, cursor=cursor), 101))
            await until(lambda: len(journal.snaps) == 3)
            journal.commit(1)
            got = await task
            word, rows, after = got[0], got[1:6], got[6:]
            assert isinstance(word, SysEvent)
            assert (word.kind, word.detail) == ("snapshot", {"reason": "floor", "journal": 77})
            assert [event.run_id for event in rows if isinstance(event, RunEvent)] == ["r1", "r2", "r3", "r4", "r5"]
            assert [event.id for event in after] == [101]
            # runs that have ended since it was last here are wanted, too
            assert {snap.since for snap in journal.snaps} == {NOW}

    asyncio.run(scenario())


def test_a_program_that_dies_in_the_middle_of_a_snapshot_is_given_it_again(hub: HubProcess, tmp_path: Path) -> None:
    async def scenario() -> None:
        cursor = tmp_path / "cursor"
        async with joined(hub.home, "scheduler") as scheduler:
            journal = Journal(scheduler)
            journal.commit(100, publish=False)
            journal.floor, journal.runs = 60, [a_run(n) for n in range(1, 6)]
            for _ in range(2):
                rows = 0
                async with aclosing(aiter(events(hub.home.root, cursor=cursor, since=3))) as each:
                    async for event in each:
                        rows += is_row(event)
                        if rows == 4:
                            break
            assert not cursor.exists()
            task = asyncio.create_task(collect(events(hub.home.root, cursor=cursor, since=3), 101))
            await until(lambda: b'"event":100' in (cursor.read_bytes() if cursor.exists() else b""))
            journal.commit(1)
            assert len([event for event in await task if is_row(event)]) == 5

    asyncio.run(scenario())
