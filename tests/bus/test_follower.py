"""The follower over a real hub: every event once, in order, whatever is lost on the way."""

import asyncio
import random
import signal
from collections.abc import Sequence

from bus_stage import HubProcess, Journal, client_name, joined, until

from apsis.messages.events import Event
from apsis_bus.follower import Follower
from apsis_bus.peer import Peer


def follow(peer: Peer, cursor: int | None = 0, journal: int = 0) -> tuple[Follower, list[int], list[str]]:
    got: list[int] = []
    resets: list[str] = []

    def take(events: Sequence[Event]) -> None:
        got.extend(event.id for event in events)

    follower = Follower(peer, cursor, journal, take, resets.append)
    follower.start()
    return follower, got, resets


def test_no_event_is_missed_across_restarts_of_the_hub(hub: HubProcess) -> None:
    """Events are committed before, while and after the hub is away; some are never published at all."""
    chance = random.Random(3)

    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler, joined(hub.home, "web") as web:
            journal = Journal(scheduler)
            journal.commit(120)
            follower, got, resets = follow(web)
            for _ in range(4):
                journal.commit(30)
                hub.end(signal.SIGKILL)
                journal.commit(30, publish=False)
                hub.start()
                await until(lambda: scheduler.connected)
                for _ in range(100):
                    journal.commit(1, publish=chance.random() < 0.7)
            # one word about the head may be lost with the hub, as anything may; it is said again and again
            while len(got) < journal.head:
                journal.beat()
                await asyncio.sleep(0.02)
            assert got == list(range(1, journal.head + 1))
            assert resets == []
            follower.stop()

    asyncio.run(scenario())


def test_a_follower_waits_for_a_scheduler_that_is_away(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "web") as web:
            follower, got, _ = follow(web)
            async with joined(hub.home, "scheduler") as scheduler:
                journal = Journal(scheduler)
                journal.commit(10, publish=False)
                await until(lambda: got == list(range(1, 11)))
            follower.stop()

    asyncio.run(scenario())


def test_a_cursor_below_the_floor_leads_to_a_snapshot_and_on_from_there(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler, joined(hub.home, "web") as web:
            journal = Journal(scheduler)
            journal.commit(100, publish=False)
            journal.floor = 60
            follower, got, resets = follow(web, cursor=5, journal=77)
            await until(lambda: resets == ["floor"])
            follower.restart(90, 77)
            await until(lambda: got == list(range(91, 101)))
            follower.stop()

    asyncio.run(scenario())


def test_another_database_is_noticed_at_its_first_word(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler, joined(hub.home, "web") as web:
            journal = Journal(scheduler)
            journal.commit(10)
            follower, got, resets = follow(web, journal=77)
            await until(lambda: len(got) == 10)
            journal.number = 78
            journal.commit(1)
            await until(lambda: resets == ["journal"])
            follower.restart(journal.head, 78)
            journal.commit(1)
            await until(lambda: got[10:] == [12])
            follower.stop()

    asyncio.run(scenario())


def test_what_came_while_resting_is_fetched_afterwards(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler, joined(hub.home, client_name()) as outsider:
            journal = Journal(scheduler)
            follower, got, _ = follow(outsider)
            follower.rest()
            journal.commit(200)
            await outsider.subscribed()
            # also the answer to what was asked before the rest
            await until(lambda: journal.asked == 1 and follower._task is not None and follower._task.done())
            assert got == []
            follower.resume()
            await until(lambda: got == list(range(1, 201)))
            follower.stop()

    asyncio.run(scenario())
