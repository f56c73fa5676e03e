"""The hub's process: one at a time, for its owner only, and nobody slows it for others."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bus_stage import HubProcess, client_name, joined, until

from apsis.errors import ConfigError
from apsis.home import Home
from apsis.messages.outputs import Chunk, OutputStat, Stats
from apsis_bus import topics
from apsis_bus.endpoints import Endpoints
from apsis_bus.lock import read_lock
from apsis_bus.peer import Published

#: says HELLO under a name as another user and prints what comes: an answer's code, or `refused`
STRANGER = """
import json, os, sys, zmq
uid, run, name, kind = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
os.setgroups([]); os.setgid(uid); os.setuid(uid)
context = zmq.Context()
if kind == "sub":
    sock = context.socket(zmq.SUB)
    monitor = sock.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
    sock.connect(f"ipc://{run}/hub.pub")
    sock.subscribe(b"v1/hello/x/y/")
else:
    sock = context.socket(zmq.DEALER)
    sock.setsockopt(zmq.ROUTING_ID, os.urandom(16).hex().encode())
    monitor = sock.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
    sock.connect(f"ipc://{run}/hub.{kind}")
    sock.send_multipart([b"A1", b"HELLO", bytes(16), b"hub", json.dumps({"t": "hello", "name": name}).encode()])
sock.linger = 0
poller = zmq.Poller(); poller.register(sock, zmq.POLLIN); poller.register(monitor, zmq.POLLIN)
ready = dict(poller.poll(10000))
if sock in ready:
    parts = sock.recv_multipart()
    print("answered" if kind == "sub" else parts[1].decode())
else:
    print("refused" if monitor in ready else "nothing")
os._exit(0)
"""


def as_user(hub: HubProcess, uid: int, name: str, kind: str) -> str:
    command = [sys.executable, "-c", STRANGER, str(uid), str(hub.home.run), name, kind]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, cwd="/").stdout.strip()


def open_to_all(hub: HubProcess) -> None:
    """Take away what the file system's permissions keep out, so that the hub's own check is what is tried."""
    hub.home.root.chmod(0o755)
    hub.home.run.chmod(0o755)
    for name in ("hub.ctl", "hub.pub", "hub.bulk"):
        (hub.home.run / name).chmod(0o666)


def test_another_users_process_is_refused_on_every_socket(hub: HubProcess) -> None:
    if os.getuid() != 0:
        # without root there is no other user to be: the file system's own refusal is what can be seen
        assert (hub.home.run.stat().st_mode & 0o007, (hub.home.run / "hub.ctl").stat().st_mode & 0o007) == (0, 0)
        return
    open_to_all(hub)
    for kind in ("ctl", "bulk", "sub"):
        assert as_user(hub, 12345, "client/12345/x", kind) == "refused"
    assert as_user(hub, 0, "client/0/x", "ctl") == "OK"


def test_a_member_of_the_group_is_a_client_and_no_service(hub: HubProcess) -> None:
    if os.getuid() != 0:
        assert (hub.home.run / "hub.ctl").stat().st_mode & 0o070 == 0o060
        return
    open_to_all(hub)
    hub.end()
    os.chown(hub.home.run, -1, 12345)
    hub.start()
    open_to_all(hub)
    assert as_user(hub, 12345, "client/12345/x", "ctl") == "OK"
    assert as_user(hub, 12345, "", "sub") == "answered"
    for name in ("scheduler", "supervisor/local", "store", "client/0/x"):
        assert as_user(hub, 12345, name, "ctl") == "NO"


def test_a_stranger_does_not_become_the_owner_by_coming_first(home: Home) -> None:
    """Whoever owns the folder of the sockets may speak as a service, so nobody but the home's owner makes it."""
    if os.getuid() == 0:
        os.chown(home.root, 12345, 12345)
        with pytest.raises(ConfigError, match="nothing was ever started"):
            Endpoints.of(home)
        assert not home.run.exists()
        os.chown(home.root, 0, 0)
    Endpoints.of(home).close()
    assert home.run.stat().st_uid == os.getuid()


def test_a_second_hub_is_refused_and_harms_nothing(hub: HubProcess) -> None:
    command = [sys.executable, "-m", "apsis_bus.hub", "--home", str(hub.home.root)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, cwd="/")
    assert second.returncode == 75
    assert f"process {hub.pid}" in second.stderr
    assert len(second.stderr.splitlines()) == 1

    async def scenario() -> None:
        async with joined(hub.home, "web"):
            pass

    asyncio.run(scenario())


def test_a_hub_without_a_home_says_so_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "apsis_bus.hub", "--home", str(tmp_path / "nowhere")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, cwd="/")
    assert ended.returncode == 3
    assert len(ended.stderr.splitlines()) == 1
    assert "apsisctl init" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_hub_ends_with_0_when_told_and_leaves_no_socket(hub: HubProcess, number: int) -> None:
    assert hub.end(number) == 0
    assert sorted(os.listdir(hub.home.run)) == ["hub.lock"]
    assert read_lock(hub.home.lock("hub")) is None


#: a hub that is told to end in the very moment in which it has said that it is ready
IN_THAT_MOMENT = """
import os, signal, sys
from apsis_bus.hub import main
from apsis_bus.lock import ServiceLock
say_ready = ServiceLock.ready
def ready(lock, **facts):
    say_ready(lock, **facts)
    os.kill(os.getpid(), signal.SIGTERM)
ServiceLock.ready = ready
sys.exit(main(sys.argv[1:]))
"""


def test_a_hub_that_is_ready_can_be_told_to_end(home: Home) -> None:
    command = [sys.executable, "-c", IN_THAT_MOMENT, "--home", str(home.root)]
    assert subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    assert sorted(os.listdir(home.run)) == ["hub.lock"]


def test_a_broken_pipe_does_not_end_a_hub(hub: HubProcess) -> None:
    os.kill(hub.pid, signal.SIGPIPE)

    async def scenario() -> None:
        async with joined(hub.home, "web"):
            pass

    asyncio.run(scenario())
    assert hub.end() == 0


@pytest.fixture
def deep_home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(prefix="apsis-bus-") as folder:
        root = Path(folder) / ("d" * 60) / ("e" * 60)
        root.mkdir(parents=True)
        yield Home(root)


def test_a_home_with_a_path_longer_than_a_sockets_may_be_works(deep_home: Home) -> None:
    hub = HubProcess(deep_home)
    hub.start()

    async def scenario() -> None:
        async with joined(deep_home, "store", bulk=True) as store, joined(deep_home, "web", bulk=True) as web:
            store.handle(lambda delivery: delivery.ok(Stats(streams={})))
            await web.request("store", OutputStat(run_id="r1"), timeout=5, bulk=True)
            hub.end(signal.SIGKILL)
            await until(lambda: not web.connected)
            hub.start()
            await until(lambda: web.connected and store.connected)
            await web.request("store", OutputStat(run_id="r1"), timeout=5, bulk=True)

    try:
        asyncio.run(scenario())
    finally:
        hub.close()


#: subscribes to everything, says so, and is stopped by the test
SUBSCRIBER = """
import sys, zmq
sub = zmq.Context().socket(zmq.SUB)
sub.connect(f"ipc://{sys.argv[1]}/hub.pub")
sub.subscribe(b"v1/")
sub.subscribe(b"v1/hello/me/1/")
sub.recv_multipart()
print("ready", flush=True)
while True:
    sub.recv_multipart()
"""


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_stopped_subscriber_does_not_stop_the_bus(hub: HubProcess) -> None:
    """Every message reaches the others, and what the stopped one misses costs the hub bounded memory."""
    count, size = 30_000, 1_000
    stopped = subprocess.Popen([sys.executable, "-c", SUBSCRIBER, str(hub.home.run)], stdout=subprocess.PIPE, cwd="/")
    assert stopped.stdout is not None

    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler, joined(hub.home, client_name()) as other:
            heard: list[int] = []
            other.subscribe(topics.EVENTS, lambda published: heard.append(published.id))
            await other.subscribed()
            os.kill(stopped.pid, signal.SIGSTOP)
            before = resident(hub.pid)
            for number in range(1, count + 1):
                scheduler.publish(topics.sys_event("x"), number, 1, bytes(size))
                if number % 200 == 0:
                    await until(lambda number=number: len(heard) == number)
            assert heard == list(range(1, count + 1))
            assert resident(hub.pid) - before < 25_000_000

    try:
        assert stopped.stdout.readline() == b"ready\n"
        asyncio.run(scenario())
    finally:
        stopped.kill()
        stopped.wait()
        stopped.stdout.close()


def test_a_flood_on_the_bulk_router_does_not_delay_a_command(hub: HubProcess) -> None:
    """While a megabyte after another waits for a reader that has stopped, commands pass between all of it."""

    async def scenario() -> None:
        async with (
            joined(hub.home, "supervisor/local", bulk=True) as supervisor,
            joined(hub.home, "scheduler") as scheduler,
            joined(hub.home, "store", bulk=True) as store,
        ):
            got: list[int] = []
            flooding = True
            refused: list[str] = []
            store.handle(lambda delivery: got.append(len(delivery.payload or b"")))
            supervisor.on_refused = lambda no: refused.append(no.code)
            supervisor.handle(lambda delivery: delivery.ok(Stats(streams={})))
            payload = secrets.token_bytes(1024 * 1024)
            chunk = Chunk(host="local", run_id="r1", stream="output", offset=0, length=len(payload), crc32=0)

            async def flood() -> None:
                while flooding:
                    for _ in range(4):
                        supervisor.send("store", chunk, payload=payload, bulk=True)
                    await asyncio.sleep(0)

            task = asyncio.create_task(flood())
            delays = []
            await until(lambda: len(got) > 20)
            for _ in range(50):
                at = time.monotonic()
                await scheduler.request("supervisor/local", OutputStat(run_id="r1"), timeout=10)
                delays.append(time.monotonic() - at)
            flooding = False
            await task
            assert len(got) > 50
            assert sorted(delays)[25] < 0.25, delays
            # what is too much is refused, not kept
            assert set(refused) <= {"busy"}

    asyncio.run(scenario())


#: is the store, says so, and is stopped by the test
STORE = """
import asyncio, sys
from pathlib import Path
from apsis.errors import ConfigError
from apsis.home import Home
from apsis_bus.peer import Peer

async def main():
    await Peer(Home(Path(sys.argv[1])), "store", bulk=True).connect()
    print("ready", flush=True)
    await asyncio.Future()

asyncio.run(main())
"""


def test_a_stopped_reader_of_bulk_is_busy_and_the_hubs_memory_stays_bounded(hub: HubProcess) -> None:
    async def scenario() -> None:
        async with joined(hub.home, "supervisor/local", bulk=True) as supervisor:
            store = await asyncio.create_subprocess_exec(
                sys.executable, "-c", STORE, str(hub.home.root), stdout=subprocess.PIPE, cwd="/"
            )
            assert store.stdout is not None
            assert await store.stdout.readline() == b"ready\n"
            store.send_signal(signal.SIGSTOP)
            refused: list[str] = []
            supervisor.on_refused = lambda no: refused.append(no.code)
            payload = bytes(1024 * 1024)
            chunk = Chunk(host="local", run_id="r1", stream="output", offset=0, length=len(payload), crc32=0)
            before = resident(hub.pid)
            while "busy" not in refused:
                supervisor.send("store", chunk, payload=payload, bulk=True)
                await asyncio.sleep(0.002)
            assert resident(hub.pid) - before < 130_000_000
            store.kill()
            await store.communicate()

    asyncio.run(scenario())


def test_an_idle_hub_wakes_only_for_heartbeats(hub: HubProcess) -> None:
    def switches() -> int:
        total = 0
        for task in Path(f"/proc/{hub.pid}/task").iterdir():
            lines = (task / "status").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if "voluntary_ctxt_switches" in line)
        return total

    async def scenario() -> None:
        async with joined(hub.home, "web"), joined(hub.home, "store"):
            before = switches()
            await asyncio.sleep(1.5)
            assert switches() - before < 60

    asyncio.run(scenario())


def test_peers_of_two_homes_never_meet(hub: HubProcess, tmp_path: Path) -> None:
    other = HubProcess(Home(tmp_path))
    other.start()

    async def scenario() -> None:
        async with joined(hub.home, "scheduler") as scheduler, joined(other.home, client_name()) as stranger:
            heard: list[Published] = []
            stranger.subscribe(topics.EVENTS, heard.append)
            await stranger.subscribed()
            scheduler.publish(topics.sys_event("x"), 1, 1, b"{}")
            async with joined(other.home, "scheduler") as second:
                second.publish(topics.sys_event("y"), 1, 1, b"{}")
                await until(lambda: heard)
            assert [published.topic for published in heard] == ["v1/ev/sys/y/"]

    try:
        asyncio.run(scenario())
    finally:
        other.close()


def test_the_lock_line_names_the_hub(hub: HubProcess) -> None:
    line = json.loads((hub.home.run / "hub.lock").read_text())
    assert (line["pid"], line["ready"], line["address"]) == (hub.pid, True, None)
    assert Path(f"/proc/{hub.pid}/cmdline").read_bytes().rstrip(b"\0") == b"apsis hub"
