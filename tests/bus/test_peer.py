"""Peers and a real hub: what is said arrives, and what cannot is refused."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from bus_stage import HubProcess, client_name, joined, until

from apsis.home import Home
from apsis.messages.body import decode, encode
from apsis.messages.events import Heartbeat, Welcome
from apsis.messages.outputs import Chunk, OutputStat, Slice, Stats
from apsis.messages.requests import Failed
from apsis_bus import topics
from apsis_bus.peer import BusRefused, BusTimeout, BusTooLarge, Delivery, Peer, Published, Refused

STAT = OutputStat(run_id="r1")
SECOND = Stats(streams={"second": Slice(start=0, length=0, complete=True)})
CHUNK = Chunk(host="local", run_id="r1", stream="output", offset=0, length=5, crc32=0)


#: answers whatever it is asked
STORE = """
import asyncio, sys
from pathlib import Path
from apsis.home import Home
from apsis.messages.outputs import Stats
from apsis_bus.peer import Peer

async def main():
    peer = Peer(Home(Path(sys.argv[1])), "store")
    peer.handle(lambda delivery: delivery.ok(Stats(streams={})))
    await peer.connect()
    print("ready", flush=True)
    await asyncio.Future()

asyncio.run(main())
"""


def beat(head: int) -> bytes:
    return encode(Heartbeat(journal=7, term=3, head=head, floor=0, now="2026-06-30T14:32:07.120000Z"))


def test_a_request_is_answered_with_body_and_payload(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "store", bulk=True) as store, joined(hub.home, "web", bulk=True) as web:
            store.handle(lambda delivery: delivery.ok(Stats(streams={}), b"bytes of " + delivery.sender.encode()))
            for bulk in (False, True):
                body, payload = await web.request("store", STAT, timeout=5, bulk=bulk)
                assert decode(Stats, body) == Stats(streams={})
                assert payload == b"bytes of web"

    asyncio.run(scenario())


def test_a_message_arrives_as_it_was_sent_with_its_true_sender(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with (
            joined(hub.home, "supervisor/local", bulk=True) as supervisor,
            joined(hub.home, "store", bulk=True) as s,
        ):
            got: list[Delivery] = []
            s.handle(got.append)
            supervisor.send("store", CHUNK, payload=b"\0\xffabc", bulk=True)
            await until(lambda: got)
            assert (got[0].verb, got[0].sender, got[0].payload, got[0].bulk) == (
                "SEND", "supervisor/local", b"\0\xffabc", True
            )  # fmt: skip
            assert decode(Chunk, got[0].body) == CHUNK

    asyncio.run(scenario())


def test_unroutable_is_answered_no_and_names_whom_it_was_for(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler:
            refused: list[Refused] = []
            scheduler.on_refused = refused.append
            msgid = scheduler.send("supervisor/far", STAT)
            await until(lambda: refused)
            assert (refused[0].to, refused[0].code, refused[0].msgid) == ("supervisor/far", "unroutable", msgid)
            with pytest.raises(BusRefused) as no:
                await scheduler.request("store", STAT, timeout=5)
            assert no.value.code == "unroutable"

    asyncio.run(scenario())


def test_a_peer_that_has_gone_is_unroutable_at_once(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "web") as web:
            async with joined(hub.home, "store") as store:
                store.handle(lambda delivery: delivery.ok(Stats(streams={})))
                await web.request("store", STAT, timeout=5)
            with pytest.raises(BusRefused, match="unroutable"):
                await web.request("store", STAT, timeout=5)

    asyncio.run(scenario())


def test_a_refusal_by_a_service_carries_its_code_and_its_body(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler, joined(hub.home, "web") as web:
            failed = Failed(code="conflict", message="it runs already")
            scheduler.handle(lambda delivery: delivery.no("conflict", failed))
            with pytest.raises(BusRefused) as no:
                await web.request("scheduler", STAT, timeout=5)
            assert no.value.code == "conflict"
            assert decode(Failed, no.value.body) == failed

    asyncio.run(scenario())


def test_a_request_that_nobody_answers_times_out(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler, joined(hub.home, "web") as web:
            scheduler.handle(lambda delivery: None)
            with pytest.raises(BusTimeout):
                await web.request("scheduler", STAT, timeout=0.2)

    asyncio.run(scenario())


def test_a_frame_above_the_limit_is_refused_before_it_costs_the_connection(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "store", bulk=True) as store, joined(hub.home, "web", bulk=True) as web:
            got: list[Delivery] = []
            store.handle(got.append)
            with pytest.raises(BusTooLarge):
                web.send("store", CHUNK, payload=bytes(1024 * 1024 + 1), bulk=True)
            web.send("store", CHUNK, payload=bytes(1024 * 1024), bulk=True)
            await until(lambda: got)
            assert web.connected

    asyncio.run(scenario())


def test_the_welcome_confirms_subscriptions_and_names_the_head(hub: HubProcess) -> None:
    """Whatever is published after `connect` or `subscribed` has returned is heard, with no waiting in between."""

    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler:
            scheduler.publish(topics.HEARTBEAT, 0, 7, beat(41))
            scheduler.publish(topics.sys_event("started"), 42, 7, b"{}")
            await scheduler.subscribed()
            for round_ in range(20):
                web = Peer(hub.home, client_name(str(round_)))
                heard: list[Published] = []
                web.subscribe(topics.EVENTS, heard.append)
                await web.connect(10)
                assert web.welcome is not None
                assert (web.welcome.journal, web.welcome.term) == (7, 3)
                # what the hub heard last: the event of the last round, or already the heartbeat after it
                assert web.welcome.head in ((42,) if round_ == 0 else (42, 43))
                scheduler.publish(topics.run_event("etl/load", "r1", "running"), 43, 7, b'{"n":1}')
                await until(lambda heard=heard: heard)
                assert heard == [Published("v1/ev/run/etl%2Fload/r1/running/", 43, 7, b'{"n":1}')]
                late: list[Published] = []
                web.subscribe(topics.LIVE, late.append)
                assert isinstance(await web.subscribed(), Welcome)
                scheduler.publish(topics.live_output("r1"), 0, 7, b"{}")
                await until(lambda late=late: late)
                await web.close()
                scheduler.publish(topics.HEARTBEAT, 0, 7, beat(42))

    asyncio.run(scenario())


def test_a_peer_finds_a_killed_hub_again_and_what_was_sent_meanwhile_arrives(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler, joined(hub.home, "supervisor/local") as supervisor:
            connected: list[str] = []
            lost: list[str] = []
            got: list[Delivery] = []
            supervisor.handle(got.append)
            for peer in (scheduler, supervisor):
                peer.on_connected.append(lambda peer=peer: connected.append(peer.name))
                peer.on_lost.append(lambda peer=peer: lost.append(peer.name))
            for times in (1, 2, 3):
                hub.end(signal.SIGKILL)
                # the monitor tells it at once; heartbeats would need 15 s
                await until(lambda times=times: len(lost) == 2 * times, 3)
                supervisor.send("supervisor/local", STAT)
                hub.start()
                await until(lambda times=times: len(connected) == 2 * times)
                await until(lambda times=times: len(got) == times)

    asyncio.run(scenario())


def test_a_request_under_way_when_the_hub_dies_ends_at_once_as_lost(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler, joined(hub.home, "web") as web:
            got: list[Delivery] = []
            scheduler.handle(got.append)
            asking = asyncio.create_task(web.request("scheduler", STAT, timeout=60))
            await until(lambda: got)
            hub.end(signal.SIGKILL)
            with pytest.raises(BusRefused) as no:
                await asyncio.wait_for(asking, 5)
            assert no.value.code == "lost"

    asyncio.run(scenario())


def test_a_hub_that_is_silent_is_noticed_and_found_again(hub: HubProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apsis_bus.peer.HEARTBEAT", 0.1)
    monkeypatch.setattr("apsis_bus.peer.SILENCE", 0.5)

    async def scenario() -> None:
        async with joined(hub.home, "web") as web:
            os.kill(hub.pid, signal.SIGSTOP)
            await until(lambda: not web.connected)
            os.kill(hub.pid, signal.SIGCONT)
            await until(lambda: web.connected)

    asyncio.run(scenario())


def test_connect_waits_for_a_hub_that_starts_later(home: Home) -> None:
    late = HubProcess(home)

    async def scenario() -> None:
        peer = Peer(home, "web")
        connecting = asyncio.create_task(peer.connect())
        await asyncio.sleep(0)
        assert not connecting.done()
        await asyncio.to_thread(late.start)
        await asyncio.wait_for(connecting, 5)
        await peer.close()

    try:
        asyncio.run(scenario())
    finally:
        late.close()


def test_connect_gives_up_after_its_timeout(home: Home) -> None:
    async def scenario() -> None:
        with pytest.raises(BusTimeout):
            await Peer(home, "web").connect(0.2)

    asyncio.run(scenario())


def test_a_restarted_process_takes_its_name_over(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with (
            joined(hub.home, "web") as web,
            joined(hub.home, "scheduler"),
            joined(hub.home, "scheduler") as second,
        ):
            second.handle(lambda delivery: delivery.ok(SECOND))
            body, _ = await web.request("scheduler", STAT, timeout=5)
            assert decode(Stats, body) == SECOND

    asyncio.run(scenario())


def test_two_processes_of_one_name_do_not_fight_over_it(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "web") as first:
            lost: list[None] = []
            first.on_lost.append(lambda: lost.append(None))
            async with joined(hub.home, "web") as second:
                await until(lambda: lost)
                await asyncio.sleep(0.3)
                assert (first.connected, second.connected) == (False, True)

    asyncio.run(scenario())


def test_a_second_living_spool_under_a_host_name_is_refused(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "supervisor/a", epoch="e1"):
            with pytest.raises(BusRefused) as no:
                await Peer(hub.home, "supervisor/a", epoch="e2").connect(5)
            assert no.value.code == "conflict"
            # the same spool again is a restart, and other hosts are others
            async with joined(hub.home, "supervisor/a", epoch="e1"), joined(hub.home, "supervisor/b", epoch="e2"):
                pass
        async with joined(hub.home, "supervisor/a", epoch="e2"):
            pass

    asyncio.run(scenario())


def test_a_handler_that_raises_does_not_stop_what_comes_after(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "store") as store, joined(hub.home, "web") as web:
            errors: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
            seen: list[bytes] = []

            def handler(delivery: Delivery) -> None:
                seen.append(delivery.msgid)
                if len(seen) % 2:
                    raise ValueError("broken handler")

            store.handle(handler)
            for _ in range(100):
                web.send("store", STAT)
            await until(lambda: len(seen) == 100)
            assert len(errors) == 50

    asyncio.run(scenario())


def test_a_burst_both_ways_loses_nothing_and_keeps_its_order(hub: HubProcess) -> None:
    """Far more than a socket's queue of answers while sending: no edge of the descriptor is missed."""

    async def scenario() -> None:
        async with joined(hub.home, "store") as store, joined(hub.home, "web") as web:
            got: list[int] = []
            back: list[int] = []

            def handler(delivery: Delivery) -> None:
                number = decode(Chunk, delivery.body).offset
                got.append(number)
                store.send("web", Chunk(host="h", run_id="r", stream="s", offset=number, length=0, crc32=0))

            store.handle(handler)
            web.handle(lambda delivery: back.append(decode(Chunk, delivery.body).offset))
            for number in range(5000):
                web.send("store", Chunk(host="h", run_id="r", stream="s", offset=number, length=0, crc32=0))
                if number % 97 == 0:
                    await asyncio.sleep(0)
            await until(lambda: len(back) == 5000, 30)
            assert got == back == list(range(5000))

    asyncio.run(scenario())


def test_an_answer_that_came_during_a_send_is_not_overlooked(hub: HubProcess) -> None:
    """Sending swallows the edge of the descriptor that tells of what came; nobody tells it a second time."""

    async def scenario() -> None:
        async with joined(hub.home, "web") as web:
            store = await asyncio.create_subprocess_exec(
                sys.executable, "-c", STORE, str(hub.home.root), stdout=subprocess.PIPE, cwd="/"
            )
            assert store.stdout is not None
            assert await store.stdout.readline() == b"ready\n"
            for _ in range(5):
                asking = asyncio.create_task(web.request("store", STAT, timeout=2))
                await asyncio.sleep(0)
                # the loop is kept busy until the answer lies in the socket, and then the socket is used
                time.sleep(0.1)
                web.publish(topics.live_output("r1"), 0, 0, b"{}")
                await asking
            store.kill()
            await store.communicate()

    asyncio.run(scenario())


def test_a_closed_peer_leaves_no_descriptor_behind(hub: HubProcess) -> None:
    async def scenario() -> int:
        async with joined(hub.home, "web", bulk=True):
            pass
        return len(os.listdir("/proc/self/fd"))

    assert asyncio.run(scenario()) >= asyncio.run(scenario())
