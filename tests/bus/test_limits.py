"""What is bounded: memory, names, sockets and time of the hub, whatever peers send, and do not read."""

import asyncio
import json
import os
import resource
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from bus_stage import HubProcess, client_name, joined, until
from raw_peer import ID, Strangers, code

from apsis.home import Home
from apsis.messages.events import Page, Replay
from apsis.messages.outputs import OutputStat, Stats
from apsis_bus import limits, topics
from apsis_bus.frames import pack
from apsis_bus.hub import Hub
from apsis_bus.peer import BusRefused, Delivery, Peer
from apsis_bus.process import open_many_files

MIB = 1024 * 1024


@pytest.fixture
def strangers() -> Iterator[Strangers]:
    found = Strangers()
    yield found
    found.close()


@pytest.fixture
def many_files() -> Iterator[None]:
    """A thousand sockets of a test are more descriptors than the 1,024 an ordinary user usually has."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_many_files()
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def resident(hub: HubProcess) -> int:
    return int(Path(f"/proc/{hub.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_after_four_messages_of_bulk_the_hub_looks_at_what_is_addressed(home: Home, strangers: Strangers) -> None:
    """Counted and not timed: one turn of the real hub's loop, with bulk piled up and one command behind it."""
    hub = Hub(home)
    peers = {}
    for name, place in (("store", "hub.bulk"), ("supervisor/a", "hub.bulk"), ("scheduler", "hub.ctl")):
        peers[name] = strangers(home, place)
        peers[name].send(b"HELLO", "hub", json.dumps({"t": "hello", "name": name}).encode())
    while not all(peer.dealer.poll(0) for peer in peers.values()):
        assert hub.turn(5)
    for peer in peers.values():
        assert code(peer.hear()) == "OK"
    for _ in range(20):
        peers["supervisor/a"].send(b"SEND", "store", payload=bytes(MIB))
    peers["scheduler"].send(b"HB", "hub")
    # all of it lies at the hub before its turn comes
    deadline = time.monotonic() + 10
    while not (hub._control.socket.poll(0) and hub._bulk.socket.poll(0)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)
    assert hub.turn(5)
    assert code(peers["scheduler"].hear()) == "OK"
    got = 0
    while peers["store"].dealer.poll(200):
        peers["store"].dealer.recv_multipart()
        got += 1
    assert got == 4
    for peer in peers.values():
        peer.close()
    hub.close()


def test_a_peer_that_does_not_read_is_busy_after_so_many_bytes(hub: HubProcess, strangers: Strangers) -> None:
    """Queues count messages, and pages have half a megabyte each: ten thousand of them would be five gigabytes."""

    async def scenario() -> None:
        page = Page(journal=1, last=1, head=1, events=[])

        def answer(delivery: Delivery) -> None:
            delivery.ok(page, bytes(MIB // 2))

        async with joined(hub.home, "scheduler") as scheduler, joined(hub.home, client_name("b")) as honest:
            scheduler.handle(answer)
            refused: list[str] = []
            scheduler.on_refused = lambda no: refused.append(no.code)
            stuck = strangers(hub.home)
            assert await asyncio.to_thread(stuck.hello, client_name("a")) == "OK"
            before = resident(hub)
            for number in range(1_000):
                stuck.send(b"REPLAY", "scheduler", b'{"t":"replay","since":0}')
                if number % 20 == 0:
                    await honest.request("scheduler", Replay(since=0), verb="REPLAY", timeout=20)
            assert resident(hub) - before < limits.UNREAD + 40 * MIB
            stuck.close()
            # who reads is never busy, however much it is: four times what may lie unread
            for _ in range(4 * limits.UNREAD // (MIB // 2)):
                await honest.request("scheduler", Replay(since=0), verb="REPLAY", timeout=20)

    asyncio.run(scenario())


def test_another_name_makes_nothing_read(hub: HubProcess, strangers: Strangers) -> None:
    """Or one that says HELLO, or BYE and HELLO, again and again could be sent any number of bytes."""

    async def scenario() -> None:
        page = Page(journal=1, last=1, head=1, events=[])
        async with joined(hub.home, "scheduler") as scheduler:
            scheduler.handle(lambda delivery: delivery.ok(page, bytes(MIB // 2)))
            before = resident(hub)
            stuck = strangers(hub.home)
            for number in range(1_000):
                if number % 25 == 0:
                    if number % 50 == 0:
                        stuck.send(b"BYE", "hub")
                    hello = {"t": "hello", "name": client_name(f"n{number // 100}")}
                    stuck.send(b"HELLO", "hub", json.dumps(hello).encode())
                stuck.send(b"REPLAY", "scheduler", b'{"t":"replay","since":0}')
                if number % 10 == 0:
                    await scheduler.subscribed()
            assert resident(hub) - before < limits.UNREAD + 40 * MIB

    asyncio.run(scenario())


def test_a_stuck_service_on_the_control_router_delays_nobody(hub: HubProcess, strangers: Strangers) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler, joined(hub.home, "store") as store:
            store.handle(lambda delivery: delivery.ok(Stats(streams={})))
            stuck = strangers(hub.home)
            assert await asyncio.to_thread(stuck.hello, "supervisor/a") == "OK"
            refused: list[str] = []
            scheduler.on_refused = lambda no: refused.append(no.code)
            before = resident(hub)
            large = OutputStat(run_id="r" * 100_000)
            for number in range(2_000):
                scheduler.send("supervisor/a", large)
                if number % 50 == 0:
                    await scheduler.request("store", OutputStat(run_id="r1"), timeout=20)
            await until(lambda: "busy" in refused)
            assert resident(hub) - before < limits.UNREAD + 40 * MIB
            await scheduler.request("store", OutputStat(run_id="r1"), timeout=20)
            stuck.close()

    asyncio.run(scenario())


def test_a_frame_above_a_mebibyte_ends_its_connection_and_costs_the_hub_nothing(
    hub: HubProcess, strangers: Strangers
) -> None:
    before = resident(hub)
    stranger = strangers(hub.home)
    assert stranger.hello(client_name()) == "OK"
    monitor = stranger.dealer.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    stranger.dealer.send_multipart(pack(b"REPLAY", ID, "scheduler", bytes(limits.MAX_FRAME + 1)))
    assert monitor.poll(10_000)
    stranger.dealer.disable_monitor()
    monitor.close(linger=0)
    assert resident(hub) - before < 20 * MIB
    other = strangers(hub.home)
    assert other.hello(client_name()) == "OK"


def test_a_connection_has_one_name_at_a_time(hub: HubProcess, strangers: Strangers) -> None:
    """Or each HELLO of one connection would leave a name behind, for ever."""
    stranger, asker = strangers(hub.home), strangers(hub.home)
    assert asker.hello("web") == "OK"
    for number in range(50):
        assert stranger.hello(f"supervisor/h{number}") == "OK"
    for number in range(49):
        assert asker.ask(b"SEND", f"supervisor/h{number}") == "unroutable"


@pytest.mark.usefixtures("many_files")
def test_clients_are_bounded_and_those_that_went_make_room(hub: HubProcess, strangers: Strangers) -> None:
    clients = [strangers(hub.home) for _ in range(limits.CLIENTS)]
    for number, peer in enumerate(clients):
        peer.send(b"HELLO", "hub", json.dumps({"t": "hello", "name": client_name(f"n{number}")}).encode())
    assert {code(peer.hear(30)) for peer in clients} == {"OK"}
    late, service = strangers(hub.home), strangers(hub.home)
    assert late.hello(client_name("late")) == "busy"
    # services are no clients
    assert service.hello("web") == "OK"
    for peer in clients:
        peer.close()
    deadline = time.monotonic() + 20
    while late.hello(client_name("late")) != "OK":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_what_clients_may_send_is_short_and_goes_to_the_control_router_alone(
    hub: HubProcess, strangers: Strangers
) -> None:
    client = strangers(hub.home)
    assert client.hello(client_name()) == "OK"
    assert client.ask(b"REPLAY", "scheduler", bytes(limits.MAX_ASKED + 1)) == "large"
    assert client.ask(b"REPLAY", "x" * (limits.MAX_TO + 1)) == "frame"
    assert strangers(hub.home, "hub.bulk").hello(client_name()) == "denied"


def test_a_client_cannot_ask_another_client(hub: HubProcess, strangers: Strangers) -> None:
    one, other = strangers(hub.home), strangers(hub.home)
    assert (one.hello(client_name("a")), other.hello(client_name("b"))) == ("OK", "OK")
    for verb in (b"REPLAY", b"SNAP"):
        assert one.ask(verb, client_name("b")) == "denied"
    assert not other.dealer.poll(50)


def test_whoever_takes_over_a_routing_id_is_nobody_before_its_own_hello(hub: HubProcess, strangers: Strangers) -> None:
    """ROUTER_HANDOVER: a peer that connects again under its id is heard, and what is for it goes to the new one."""
    first = strangers(hub.home)
    assert first.hello("web") == "OK"
    again = strangers.context.socket(zmq.DEALER)
    again.setsockopt(zmq.ROUTING_ID, first.dealer.getsockopt(zmq.ROUTING_ID))
    again.setsockopt(zmq.LINGER, 0)
    again.connect(f"ipc://{hub.home.run}/hub.ctl")
    again.send_multipart(pack(b"HELLO", ID, "hub", b'{"t":"hello","name":"web"}'))
    assert again.poll(10_000)
    assert code(again.recv_multipart()) == "OK"
    asker = strangers(hub.home)
    assert asker.hello("scheduler") == "OK"
    asker.send(b"SEND", "web", b'{"x":1}')
    assert again.poll(10_000)
    assert again.recv_multipart()[4] == b'{"x":1}'
    again.close()


def test_five_thousand_subscriptions_all_work(hub: HubProcess) -> None:
    """With the default queue of a SUB only a fifth of them ever reached the hub."""

    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler, joined(hub.home, client_name()) as many:
            heard: set[str] = set()
            names = [topics.sys_event(f"k{number}") for number in range(5_000)]
            for name in names:
                many.subscribe(name, lambda published: heard.add(published.topic))
            await many.subscribed()
            for number, name in enumerate(names):
                scheduler.publish(name, 0, 1, b"{}")
                if number % 500 == 0:
                    await asyncio.sleep(0)
            await until(lambda: len(heard) == 5_000, 30)

    asyncio.run(scenario())


def test_what_is_published_right_after_connecting_arrives(hub: HubProcess) -> None:
    """PUB right after connect lost 200 of 200; a DEALER into the hub loses none."""

    async def scenario() -> None:
        async with joined(hub.home, client_name()) as watcher:
            heard: list[int] = []
            watcher.subscribe(topics.EVENTS, lambda published: heard.append(published.id))
            await watcher.subscribed()
            scheduler = Peer(hub.home, "scheduler")
            connecting = asyncio.create_task(scheduler.connect(10))
            await asyncio.sleep(0)
            for number in range(1, 201):
                scheduler.publish(topics.sys_event("x"), number, 1, b"{}")
            await connecting
            await until(lambda: len(heard) == 200)
            assert heard == list(range(1, 201))
            await scheduler.close()

    asyncio.run(scenario())


def test_the_hub_listens_on_no_network(hub: HubProcess) -> None:
    inodes = {
        link.removeprefix("socket:[").removesuffix("]")
        for link in (os.readlink(path) for path in Path(f"/proc/{hub.pid}/fd").iterdir())
        if link.startswith("socket:[")
    }
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        table = Path(f"/proc/net/{kind}")
        rows = table.read_text().splitlines()[1:] if table.exists() else []
        assert not inodes & {row.split()[9] for row in rows}


def test_a_connection_that_is_no_zeromq_holds_nothing_up(hub: HubProcess) -> None:
    """It speaks nonsense, or nothing, and stays."""
    strange = []
    for data in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 10, secrets.token_bytes(5_000)):
        for name in ("hub.ctl", "hub.pub", "hub.bulk"):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(str(hub.home.run / name))
            sock.sendall(data)
            strange.append(sock)

    async def scenario() -> None:
        async with joined(hub.home, "store", bulk=True) as store, joined(hub.home, "web", bulk=True) as web:
            store.handle(lambda delivery: delivery.ok(Stats(streams={})))
            await web.request("store", OutputStat(run_id="r1"), timeout=10, bulk=True)

    asyncio.run(scenario())
    for sock in strange:
        sock.close()


def test_too_large_an_answer_is_refused_and_does_not_end_who_answers(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "store") as store, joined(hub.home, "web") as web:
            store.handle(lambda delivery: delivery.ok(Stats(streams={}), bytes(limits.MAX_FRAME + 1)))
            with pytest.raises(BusRefused) as refused:
                await web.request("store", OutputStat(run_id="r1"), timeout=10)
            assert refused.value.code == "large"

    asyncio.run(scenario())


def test_strangers_cannot_fill_the_disk_by_the_log(hub: HubProcess, strangers: Strangers) -> None:
    stranger = strangers(hub.home)
    before = len(hub.log())
    for _ in range(300):
        assert stranger.hello("x" * 100_000) == "denied"
        assert stranger.hello(client_name()) == "OK"
        stranger.send(b"BYE", "hub")
    assert len(hub.log()) - before < 4_000


#: connects twice under each routing id and sends by both, so that a descriptor of the hub is left behind for each
TWINS = """
import os, sys, time, zmq
context = zmq.Context()
for number in range(int(sys.argv[2])):
    name = os.urandom(16).hex().encode()
    twins = []
    for _ in range(2):
        sock = context.socket(zmq.DEALER)
        sock.linger = 0
        sock.setsockopt(zmq.ROUTING_ID, name)
        sock.connect(f"ipc://{sys.argv[1]}/hub.ctl")
        sock.send(b"1")
        sock.recv_multipart()
        twins.append(sock)
    for sock in twins:
        sock.send(b"2")
    time.sleep(0.001)
    for sock in twins:
        sock.close()
"""


def test_a_hub_that_runs_out_of_descriptors_gives_way_to_a_new_one(home: Home) -> None:
    """libzmq never closes the first of two connections under one routing id; whoever means it could use them all up."""
    hub = HubProcess(home, descriptors=150)
    hub.start()
    stranger = subprocess.Popen([sys.executable, "-c", TWINS, str(home.run), "200"], cwd="/")
    try:
        assert hub.wait() == 1
    finally:
        stranger.kill()
        stranger.wait()
    assert "a new hub takes over" in hub.log()
    hub.start()

    async def scenario() -> None:
        async with joined(home, "web"):
            pass

    asyncio.run(scenario())
    hub.close()


def test_what_gone_peers_have_left_is_forgotten(home: Home, strangers: Strangers) -> None:
    hub = Hub(home)
    peers = [strangers(home) for _ in range(20)]
    for number, peer in enumerate(peers):
        peer.send(b"HELLO", "hub", json.dumps({"t": "hello", "name": client_name(f"n{number}")}).encode())
    while not all(peer.dealer.poll(0) for peer in peers):
        assert hub.turn(5)
    assert len(hub._control._sessions) == len(hub._control._names) == 20
    hub._control.forget(time.monotonic() + 1)
    assert (hub._control._sessions, hub._control._names) == ({}, {})
    hub.close()
