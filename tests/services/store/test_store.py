"""The store as a process on a real hub: what supervisors send is what readers get, whatever is killed."""

import asyncio
import os
import random
import resource
import time

import pytest

from apsis.messages.body import decode
from apsis.messages.outputs import Chunk, LiveOutput, OutputEnd, OutputStat, ReadLines, ReadRange, Slice, Stats
from apsis_bus import topics
from apsis_bus.peer import BusRefused


def text(size, seed=1):
    """Return log-like bytes, the same for the same seed."""
    rng = random.Random(seed)
    block = b"".join(b"line %d %s\n" % (n, b"x" * rng.randrange(120)) for n in range(5000))
    return (block * (size // len(block) + 1))[:size]


async def ask(reader, body, kind=Slice):
    answer, payload = await reader.request("store", body, timeout=10, bulk=True)
    return decode(kind, answer), payload


async def read_all(reader, run, stream):
    parts, at = [], 0
    while True:
        header, payload = await ask(reader, ReadRange(run_id=run, stream=stream, start=at))
        assert header.start == at
        if not payload:
            return b"".join(parts)
        parts.append(payload)
        at += len(payload)


def test_what_was_sent_is_read_back_as_ranges_lines_and_figures(stage, on_bus):
    data = text(3_000_000)
    lines = data.split(b"\n")

    async def scenario(sender, reader):
        await sender.send_all("r1", "output", data, step=200_001)
        assert await read_all(reader, "r1", "output") == data
        header, payload = await ask(reader, ReadRange(run_id="r1", stream="output", start=1_234_567, stop=1_234_999))
        assert payload == data[1_234_567:1_234_999]
        assert (header.length, header.complete) == (3_000_000, True)
        assert (await ask(reader, ReadRange(run_id="r1", stream="output", start=-10)))[1] == data[-10:]
        header, payload = await ask(reader, ReadLines(run_id="r1", stream="output", first=20_000, count=3))
        assert payload == b"".join(line + b"\n" for line in lines[20_000:20_003])
        assert (header.line, header.lines) == (20_000, len(lines))
        header, payload = await ask(reader, ReadLines(run_id="r1", stream="output", first=-1, count=1))
        assert payload == lines[-1]
        stats, _ = await ask(reader, OutputStat(run_id="r1"), Stats)
        assert {name: (stat.length, stat.complete) for name, stat in stats.streams.items()} == {
            "output": (3_000_000, True)
        }
        stats, _ = await ask(reader, OutputStat(run_id="r2"), Stats)
        assert stats.streams == {}
        with pytest.raises(BusRefused) as refused:
            await ask(reader, ReadRange(run_id="../r1", stream="output", start=0))
        assert refused.value.code == "bad_request"

    on_bus(scenario)


def test_a_store_killed_in_the_middle_of_a_stream_loses_and_repeats_no_byte(stage, on_bus):
    data = text(50_000_000)

    async def scenario(sender, reader):
        task = asyncio.create_task(sender.send_all("r1", "stdout", data, step=200_001))
        for part in (0.2, 0.5, 0.8):
            await sender.until(lambda part=part: sender.kept.get(("r1", "stdout"), 0) > part * len(data), 30)
            kept = sender.kept["r1", "stdout"]
            stage.kill("store")
            await asyncio.to_thread(stage.start, "store", "apsis_services.store")
            stats, _ = await ask(reader, OutputStat(run_id="r1"), Stats)
            assert stats.streams["stdout"].length >= kept, "what was acknowledged is there"
        await task
        assert await read_all(reader, "r1", "stdout") == data

    on_bus(scenario)


def test_bytes_that_come_spoilt_or_too_early_are_not_kept_and_are_asked_for_again(stage, on_bus):
    data = text(1000)

    async def scenario(sender, reader):
        sender.chunk("r1", "output", 500, data[500:])
        await sender.until(lambda: sender.sent.get(("r1", "output")) == 0)
        sender.sent.clear()
        sender.chunk("r1", "output", 0, data[:500], crc32=1)
        await sender.until(lambda: sender.sent.get(("r1", "output")) == 0)
        assert sender.kept["r1", "output"] == 0
        await sender.send_all("r1", "output", data)
        assert await read_all(reader, "r1", "output") == data

    on_bus(scenario)
    assert stage.log("store").count("chunk_spoilt") == 1


def test_a_lost_range_is_marked_and_the_rest_keeps_its_place(stage, on_bus):
    async def scenario(sender, reader):
        sender.chunk("r1", "output", 0, b"head\n")
        sender.peer.send(
            "store",
            Chunk(host="local", run_id="r1", stream="output", offset=5, length=10**9, crc32=0, gap=True),
            bulk=True,
        )
        sender.chunk("r1", "output", 5 + 10**9, b"tail\n")
        sender.peer.send("store", OutputEnd(host="local", run_id="r1", lengths={"output": 10 + 10**9}), bulk=True)
        await sender.until(lambda: ("r1", "output") in sender.complete)
        header, payload = await ask(reader, ReadRange(run_id="r1", stream="output", start=-5))
        assert payload == b"tail\n"
        assert header.gaps == [(5, 5 + 10**9)]
        assert (await ask(reader, ReadLines(run_id="r1", stream="output", first=1, count=5)))[1] == b"tail\n"

    on_bus(scenario)


def test_empty_output_is_complete_at_once_and_leaves_nothing(stage, on_bus):
    async def scenario(sender, reader):
        sender.peer.send("store", OutputEnd(host="local", run_id="r1", lengths={"output": 0}), bulk=True)
        await sender.until(lambda: ("r1", "output") in sender.complete)

    on_bus(scenario)
    assert not stage.home.output.exists()


def test_who_follows_hears_of_growth_ten_times_a_second_and_always_of_the_end(stage, on_bus):
    async def scenario(sender, reader):
        heard = []
        reader.subscribe(topics.live_output("r1"), lambda published: heard.append(decode(LiveOutput, published.body)))
        await reader.subscribed()
        sender.chunk("r1", "output", 0, b"x")
        deadline = time.monotonic() + 2
        while not heard:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)
        began = time.monotonic()
        for n in range(1, 300):
            sender.chunk("r1", "output", n, b"x")
            await asyncio.sleep(0.001)
        sender.peer.send("store", OutputEnd(host="local", run_id="r1", lengths={"output": 300}), bulk=True)
        await sender.until(lambda: ("r1", "output") in sender.complete)
        while not (heard[-1].complete and heard[-1].length == 300):
            assert time.monotonic() < began + 5
            await asyncio.sleep(0.01)
        assert len(heard) <= 3 + (time.monotonic() - began) * 10

    on_bus(scenario)


def test_acknowledgements_go_on_while_someone_reads_a_large_output(stage, on_bus):
    data = text(20_000_000)

    async def scenario(sender, reader):
        await sender.send_all("r1", "output", data)

        async def keep_reading():
            while True:
                await read_all(reader, "r1", "output")

        readers = [asyncio.create_task(keep_reading()) for _ in range(4)]
        await sender.send_all("r2", "output", data)
        for task in readers:
            task.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    on_bus(scenario)


def test_memory_does_not_grow_with_the_output(stage, on_bus, home):
    from apsis_bus.lock import read_lock

    def resident():
        pid = read_lock(home.lock("store")).pid
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    data = text(10_000_000)

    async def scenario(sender, reader):
        await sender.send_all("r1", "output", data)
        before = resident()
        for run in range(2, 10):
            await sender.send_all(f"r{run}", "output", data)
        assert resident() < before + 12_000_000

    on_bus(scenario)


def test_an_idle_store_does_not_wake_up(stage, on_bus, home):
    """Counted in context switches, so that a slow machine cannot fail it; only the bus' heartbeat is allowed."""
    from apsis_bus.lock import read_lock

    pid = read_lock(home.lock("store")).pid

    def switches():
        total = 0
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/status") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt"))
        return total

    async def scenario(sender, reader):
        await sender.send_all("r1", "output", text(1000))

    on_bus(scenario)
    time.sleep(0.5)
    before = switches()
    time.sleep(2)
    assert switches() - before < 60
