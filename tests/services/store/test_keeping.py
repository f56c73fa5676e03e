"""What the store promises of disks and time: durable before it says so, kept as long as asked, and then said gone."""

import asyncio
import time

import pytest

from apsis.messages.body import decode
from apsis.messages.outputs import (
    Found,
    KeepPolicy,
    Kept,
    OutputAck,
    OutputEnd,
    OutputStat,
    ReadRange,
    Search,
    Slice,
    Stats,
)
from apsis_bus.peer import BusRefused
from apsis_services.store.names import RunKey

MIB = 1 << 20


class Acks:
    """All that was acknowledged, in order."""

    def __init__(self, peer):
        self.items: list[Kept] = []
        peer.handle(lambda delivery: self.items.extend(decode(OutputAck, delivery.body).items))

    async def until(self, condition, seconds=15):
        deadline = time.monotonic() + seconds
        while not (found := [item for item in self.items if condition(item)]):
            assert time.monotonic() < deadline, self.items
            await asyncio.sleep(0.01)
        return found[0]


async def ask(reader, body, kind=Slice):
    answer, payload = await reader.request("store", body, timeout=10, bulk=True)
    return decode(kind, answer), payload


async def printed(sender, acks, number, data, *, keep=None, job="job", journal=7):
    """Print and end one run; return when it is complete."""
    run_id = f"r{number}"
    sender.chunk(run_id, "output", 0, data, journal=journal)
    end = OutputEnd(host="local", run_id=run_id, lengths={"output": len(data)}, journal=journal, job_id=job, keep=keep)
    sender.peer.send("store", end, bulk=True)
    await acks.until(lambda kept: kept.run_id == run_id and kept.journal == journal and kept.complete)


async def until_gone(reader, number, journal=7):
    deadline = time.monotonic() + 15
    while True:
        try:
            await ask(reader, OutputStat(run_id=f"r{number}", journal=journal), Stats)
        except BusRefused as refused:
            return refused
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def test_a_run_of_another_database_has_its_own_output(stage, on_bus):
    async def scenario(sender, reader):
        acks = Acks(sender.peer)
        await printed(sender, acks, 1, b"of the first\n", journal=7)
        await printed(sender, acks, 1, b"of the second\n", journal=8)
        for journal, text in ((7, b"of the first\n"), (8, b"of the second\n")):
            _, data = await ask(reader, ReadRange(run_id="r1", stream="output", start=0, journal=journal))
            assert data == text
        _, data = await ask(reader, ReadRange(run_id="r1", stream="output", start=0))
        assert data == b""

    on_bus(scenario)


def test_credit_comes_at_once_and_durability_later(stage, on_bus):
    async def scenario(sender, reader):
        acks = Acks(sender.peer)
        sender.chunk("r1", "output", 0, b"first line\n")
        first = await acks.until(lambda kept: kept.length == 11)
        assert (first.durable, first.complete) == (0, False)
        for n in range(8):
            sender.chunk("r1", "output", 11 + n * 500_000, b"x" * 500_000)
        await acks.until(lambda kept: kept.durable >= MIB)
        sender.peer.send("store", OutputEnd(host="local", run_id="r1", lengths={"output": 4_000_011}), bulk=True)
        last = await acks.until(lambda kept: kept.complete)
        assert last.durable == last.length == 4_000_011
        sender.chunk("r2", "output", 0, b"all of it\n")
        sender.peer.send("store", OutputEnd(host="local", run_id="r2", lengths={"output": 10}), bulk=True)
        await acks.until(lambda kept: kept.run_id == "r2" and kept.complete)
        early = [kept for kept in acks.items if kept.complete and kept.durable < kept.length]
        assert not early, "nothing is complete before it is durable"

    on_bus(scenario)


def test_a_killed_store_says_complete_again_without_a_byte_sent_again(stage, on_bus):
    async def scenario(sender, reader):
        acks = Acks(sender.peer)
        await printed(sender, acks, 1, b"text\n" * 1000)
        stage.kill("store")
        await asyncio.to_thread(stage.start, "store", "apsis_services.store")
        acks.items.clear()
        end = OutputEnd(host="local", run_id="r1", lengths={"output": 5000}, journal=7, job_id="job")
        deadline = time.monotonic() + 15
        while not any(kept.complete for kept in acks.items):
            assert time.monotonic() < deadline
            sender.peer.send("store", end, bulk=True)
            await asyncio.sleep(0.3)
        assert next(kept.durable for kept in acks.items if kept.complete) == 5000

    on_bus(scenario)
    assert (stage.home.output / "ended").read_bytes().count(b"\n") == 1, "it is listed once"


def test_a_job_keeps_its_last_outputs_and_a_reader_of_the_others_is_told(stage, on_bus):
    async def scenario(sender, reader):
        acks = Acks(sender.peer)
        for number in range(1, 5):
            await printed(sender, acks, number, b"text %d\n" % number, keep=KeepPolicy(count=2))
        await printed(sender, acks, 9, b"of another job\n", job="other")
        for number in (1, 2):
            refused = await until_gone(reader, number)
            assert refused.code == "gone"
            assert time.strftime("%Y-%m-%d", time.gmtime()) in refused.message
            assert "by retention (count)" in refused.message
        for number in (3, 4, 9):
            stats, _ = await ask(reader, OutputStat(run_id=f"r{number}", journal=7), Stats)
            assert stats.streams["output"].complete

        acks.items.clear()  # a host that was away tells of a removed run again: it must not come back
        await printed(sender, acks, 1, b"text 1\n", keep=KeepPolicy(count=2))
        assert (await until_gone(reader, 1)).code == "gone"
        assert not RunKey(7, "r1").folder(stage.home.output).exists()

    on_bus(scenario)


def test_an_output_that_is_not_whole_is_never_removed(stage, on_bus):
    async def scenario(sender, reader):
        acks = Acks(sender.peer)
        sender.chunk("r1", "output", 0, b"alive\n", journal=7)
        for number in range(2, 5):
            await printed(sender, acks, number, b"text\n", keep=KeepPolicy(count=1))
        await until_gone(reader, 3)
        _, data = await ask(reader, ReadRange(run_id="r1", stream="output", start=0, journal=7))
        assert data == b"alive\n"

    on_bus(scenario)


def test_a_link_in_the_place_of_an_output_is_removed_and_not_followed(stage, on_bus, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "output.tail").write_text("kept")

    async def scenario(sender, reader):
        acks = Acks(sender.peer)
        await printed(sender, acks, 1, b"text\n", keep=KeepPolicy(count=1))
        folder = RunKey(7, "r1").folder(stage.home.output)
        folder.rename(tmp_path / "moved")
        folder.symlink_to(outside)
        (tmp_path / "moved" / "link").symlink_to(outside)
        await printed(sender, acks, 2, b"text\n", keep=KeepPolicy(count=1))
        await until_gone(reader, 1)
        assert not folder.is_symlink()

    on_bus(scenario)
    assert [path.name for path in outside.iterdir()] == ["output.tail"]


def test_a_search_goes_through_a_large_output_in_steps(stage, on_bus):
    data = b"".join(b"line %07d of many\n" % n for n in range(400_000))

    async def scenario(sender, reader):
        await sender.send_all("r1", "output", data)
        at, hits, steps = 0, [], 0
        while at < len(data):
            ask_for = Search(run_id="r1", stream="output", text="99999 of", start=at)
            found, _ = await ask(reader, ask_for, Found)
            at, hits, steps = found.next, hits + found.hits, steps + 1
        assert [hit.line for hit in hits] == [99_999, 199_999, 299_999, 399_999]
        assert 2 <= steps < 10
        with pytest.raises(BusRefused) as refused:
            await ask(reader, Search(run_id="r1", stream="output", text="x" * 2000), Found)
        assert refused.value.code == "bad_request"

    on_bus(scenario)


def test_reads_go_on_while_an_expression_without_end_is_tried(stage, on_bus):
    async def scenario(sender, reader):
        sender.chunk("r1", "output", 0, b"a" * 70 + b"!\n")
        await sender.until(lambda: sender.kept.get(("r1", "output")) == 72)
        slow = asyncio.create_task(ask(reader, Search(run_id="r1", stream="output", text="(a+)+$", regex=True), Found))
        for n in range(20):
            await ask(reader, ReadRange(run_id="r1", stream="output", start=0))
            sender.chunk("r1", "output", 72 + n, b"x")
            await sender.until(lambda n=n: sender.kept["r1", "output"] == 73 + n)
        with pytest.raises(BusRefused) as refused:
            await slow
        assert refused.value.code == "bad_request"
        assert "too long" in refused.value.message

    on_bus(scenario)


@pytest.mark.parametrize("point", ["store.written", "store.synced", "store.acked"])
def test_killed_at_each_step_it_loses_and_repeats_no_byte(home, on_bus, point, tmp_path, monkeypatch, stage_of):
    points = tmp_path / "points"
    points.mkdir()
    monkeypatch.setenv("APSIS_FAILPOINTS", str(points))
    stage = stage_of()
    data = b"".join(b"line %07d\n" % n for n in range(300_000))

    async def scenario(sender, reader):
        task = asyncio.create_task(sender.send_all("r1", "output", data))
        kills = 0
        for _ in range(2):
            (points / point).write_text("kill")
            deadline = time.monotonic() + 20
            while (points / point).exists() and not task.done():
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
            if stage.ended("store"):
                kills += 1
                await asyncio.to_thread(stage.start, "store", "apsis_services.store")
        await task
        assert kills
        parts, at = [], 0
        while at < len(data):
            _, part = await ask(reader, ReadRange(run_id="r1", stream="output", start=at))
            parts.append(part)
            at += len(part)
        assert b"".join(parts) == data

    on_bus(scenario)
