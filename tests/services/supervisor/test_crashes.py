"""A supervisor that is killed at any moment tells the truth afterwards; programs and output go on."""

import hashlib
import os
import signal

from apsis.messages.body import decode, encode
from apsis.messages.dispatch import Finished, Started
from apsis.messages.events import Heartbeat
from apsis.messages.live import AskLive, LiveHost
from apsis_bus import topics

#: prints `count` numbered lines of 64 bytes, with a rest after each `burst`
LINES = """
import sys, time
count, burst, rest = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
for n in range(count):
    sys.stdout.write(f"{n:063d}\\n")
    if n % burst == 0:
        sys.stdout.flush()
        time.sleep(rest)
"""


def lines(count: int) -> bytes:
    return b"".join(b"%063d\n" % n for n in range(count))


def digest(data: bytes) -> str:
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}"


def test_a_killed_supervisor_reports_what_happened_meanwhile_with_the_next_number(scene):
    async def body(s) -> None:
        for run in range(6):
            s.scheduler.start(f"r{run}", "/bin/sh", "-c", f"sleep 0.{run}; exit {run}")
        await s.until(lambda: len(s.scheduler.reports) >= 6)
        before = s.scheduler.last
        s.kill("supervisor")
        await s.until(lambda: all(not s.living(f"r{run}") for run in range(6)))
        s.begin("supervisor")
        ends = await s.ended(*(f"r{run}" for run in range(6)))
        assert [end.exit.code for end in ends] == list(range(6))
        assert [report.seq for report in s.scheduler.reports] == list(range(1, s.scheduler.last + 1))
        assert s.scheduler.last > before
        for run in range(6):
            told = [type(report) for report in s.scheduler.of(f"r{run}")]
            assert told in ([Started, Finished], [Finished])

    scene.run(body)


def test_runs_go_on_while_the_supervisor_is_killed_again_and_again(scene):
    async def body(s) -> None:
        marks = s.root / "marks"
        marks.mkdir()
        names = [f"r{run}" for run in range(40)]
        for name in names:
            s.scheduler.start(name, "/bin/sh", "-c", f"echo x >> {marks}/{name}; sleep 0.2; echo {name}")
        for kill in range(5):
            seen = len(s.scheduler.reports)
            await s.until(lambda seen=seen, kill=kill: len(s.scheduler.reports) > min(seen, 10 * kill))
            s.kill("supervisor")
            s.begin("supervisor")
        ends = await s.ended(*names, seconds=40)
        assert {end.exit.code for end in ends} == {0}
        assert {path.read_text() for path in marks.iterdir()} == {"x\n"}
        await s.until(lambda: all(s.store.of(name) == f"{name}\n".encode() for name in names))
        ends = [report for report in s.scheduler.reports if isinstance(report, Finished)]
        assert len(ends) == len(names)

    scene.run(body, 90)


def test_a_killed_hub_is_found_again_and_nothing_is_lost(scene):
    async def body(s) -> None:
        s.scheduler.start("r1", os.sys.executable, "-c", LINES, "4000", "100", "0.02")
        await s.until(lambda: s.store.of("r1"))
        for _ in range(2):
            s.kill("hub")
            s.begin("hub")
            await s.until(lambda: s.scheduler.peer.connected and s.store.peer.connected)
        (end,) = await s.ended("r1")
        assert end.exit.code == 0
        await s.until(lambda: s.store.final.get("r1") == {"output": 4000 * 64} and len(s.store.of("r1")) == 4000 * 64)
        assert digest(s.store.of("r1")) == digest(lines(4000))

    scene.run(body)


def test_a_long_output_arrives_whole_though_the_supervisor_is_killed_in_the_middle(scene):
    async def body(s) -> None:
        count = 400_000  # 25 MB
        s.scheduler.start("r1", os.sys.executable, "-c", LINES, str(count), "20000", "0.1")
        for part in (1, 2, 3):
            await s.until(lambda part=part: len(s.store.of("r1")) > part * count * 64 // 5)
            s.kill("supervisor")
            s.begin("supervisor")
        (end,) = await s.ended("r1", seconds=40)
        assert end.outputs == {"output": count * 64}
        await s.until(lambda: len(s.store.of("r1")) == count * 64 and "r1" in s.store.final)
        assert digest(s.store.of("r1")) == digest(lines(count))

    scene.run(body, 90)


def test_acked_output_is_given_back_to_the_disk(scene):
    async def body(s) -> None:
        count = 200_000  # 12.8 MB
        s.scheduler.start("r1", os.sys.executable, "-c", LINES, str(count), "50000", "0.05")
        await s.ended("r1")
        await s.until(lambda: "r1" in s.store.final)
        path = next((s.home.spool / "runs").glob("*-r1")) / "output"
        await s.until(lambda: path.stat().st_blocks * 512 < 4 << 20, "blocks given back")
        assert path.stat().st_size == count * 64

    scene.run(body)


def test_a_log_bomb_does_not_starve_another_run(scene):
    async def body(s) -> None:
        s.scheduler.start("r1", "/bin/sh", "-c", "yes 0123456789abcdef | head -c 100000000")
        await s.until(lambda: len(s.store.of("r1")) > 1 << 20)
        s.scheduler.start("r2", "/bin/echo", "quick")
        await s.until(lambda: s.store.of("r2") == b"quick\n")
        assert len(s.store.of("r1")) < 100_000_000
        await s.ended("r1", "r2")
        await s.until(lambda: len(s.store.of("r1")) == 100_000_000)
        assert (
            s.store.of("r1") == b"0123456789abcdef\n" * (100_000_000 // 17) + b"0123456789abcdef\n"[: 100_000_000 % 17]
        )

    scene.run(body)


def test_a_store_that_comes_late_or_again_gets_everything(scene):
    async def body(s) -> None:
        await s.store.peer.close()
        s.scheduler.start("r1", os.sys.executable, "-c", LINES, "2000", "100", "0.01")
        await s.ended("r1")
        second = type(s.store)(s.home)
        second.mute = True
        s.store = second
        await second.peer.connect(10)
        await s.until(lambda: second.peer.connected)
        second.mute = False
        await s.until(lambda: second.final.get("r1") and len(second.of("r1")) == 2000 * 64)
        assert digest(second.of("r1")) == digest(lines(2000))

    scene.run(body)


def test_a_cap_keeps_head_and_tail_and_tells_the_gap(scene):
    async def body(s) -> None:
        count, cap = 200_000, 1 << 20
        s.scheduler.start("r1", os.sys.executable, "-c", LINES, str(count), "20000", "0.05", max_bytes=cap)
        await s.ended("r1")
        await s.until(lambda: "r1" in s.store.final and len(s.store.of("r1")) == count * 64)
        (gap,) = s.store.gaps
        kept, whole = s.store.of("r1"), lines(count)
        assert count * 64 - gap.length == cap
        assert kept[: gap.offset] == whole[: gap.offset]
        assert kept[gap.offset + gap.length :] == whole[gap.offset + gap.length :]

    scene.run(body)


def test_sigterm_ends_the_supervisor_and_leaves_runs_running(scene):
    async def body(s) -> None:
        go = s.root / "go"
        s.scheduler.start("r1", "/bin/sh", "-c", f"until test -e {go}; do sleep 0.05; done; exit 4")
        await s.until(lambda: s.scheduler.of("r1") and s.living("r1"))
        assert s.terminate("supervisor") == 0
        assert s.living("r1")
        go.touch()
        s.begin("supervisor")
        (end,) = await s.ended("r1")
        assert end.exit.code == 4

    scene.run(body)


def test_a_killed_shim_falls_to_the_zygote_and_its_true_status_is_told(scene):
    async def body(s) -> None:
        s.scheduler.start("r1", "/bin/sh", "-c", "echo up; sleep 1; exit 5")
        await s.until(lambda: b"up" in s.store.of("r1"))
        (journal,) = (s.home.spool / "journals").iterdir()
        os.kill(int(journal.read_bytes().split(b'"pid":', 1)[1].split(b",", 1)[0]), signal.SIGKILL)
        (end,) = await s.ended("r1")
        assert end.exit.code == 5

    scene.run(body)


def test_a_second_supervisor_is_refused(scene):
    async def body(s) -> None:
        s.scheduler.start("r1", "/bin/true")
        await s.ended("r1")
        first = s.processes.pop("supervisor")
        s.begin("supervisor")
        assert s.processes.pop("supervisor").wait(10) == 75
        s.processes["supervisor"] = first

    scene.run(body)


def test_all_of_it_works_as_an_ordinary_user(user_scene):
    async def body(s) -> None:
        s.scheduler.start("r1", "/bin/sh", "-c", "id -u; exit 2")
        s.scheduler.start("r2", "/bin/sleep", "60")
        s.scheduler.start("r3", "/bin/true", user="root")
        (end,) = await s.ended("r1")
        assert end.exit.code == 2
        s.kill("supervisor")
        s.begin("supervisor")
        await s.until(lambda: s.store.of("r1") == b"65534\n")
        (refused,) = await s.ended("r3")
        assert refused.exit.error
        assert s.living("r2")
        assert (s.home.spool.stat().st_mode & 0o777) == 0o700

    user_scene.run(body)


def test_a_new_life_of_the_scheduler_is_greeted_and_an_old_one_told_of_it(scene):
    async def body(s) -> None:
        await s.until(lambda: s.scheduler.hellos)
        s.scheduler.term = 2
        beat = Heartbeat(journal=0x1234, term=2, head=0, floor=0, now="t")
        await s.until(lambda: s.scheduler.binding)
        seen = len(s.scheduler.hellos)
        s.scheduler.peer.publish(topics.HEARTBEAT, 0, 0, encode(beat))
        await s.until(lambda: len(s.scheduler.hellos) > seen)
        s.kill("supervisor")
        s.begin("supervisor")
        await s.until(lambda: len(s.scheduler.hellos) > seen + 1)
        seen = len(s.scheduler.hellos)
        s.scheduler.term = 1
        dispatch = s.scheduler.start("r1", "/bin/true")
        await s.until(lambda: len(s.scheduler.hellos) > seen)
        assert s.scheduler.hellos[-1].known[0].term == 2
        assert dispatch not in s.scheduler.answers
        assert not list((s.home.spool / "journals").iterdir())

    scene.run(body)


def test_what_runs_is_sampled_with_its_tree(scene):
    async def body(s) -> None:
        heard = []
        s.store.peer.subscribe(topics.live_host("local"), lambda published: heard.append(published.body))
        s.scheduler.start("r1", "/bin/sh", "-c", "sleep 60 & wait")
        await s.until(lambda: heard)
        answer, _ = await s.store.peer.request("supervisor/local", AskLive(run_id="r1"), timeout=5)
        for body in (heard[0], answer):
            (run,) = decode(LiveHost, body).runs
            assert [(process.name, process.depth) for process in run.processes] == [("sh", 0), ("sleep", 1)]
            assert run.peak_rss > 100_000
            assert run.peak_processes == 2

    scene.run(body)


def test_a_supervisor_without_a_hub_takes_up_its_runs_and_waits(bare_scene):
    async def body(s) -> None:
        s.scheduler.start("r1", "/bin/sh", "-c", "sleep 1; exit 7")
        await s.until(lambda: s.scheduler.of("r1"))
        s.kill("supervisor")
        s.kill("hub")
        s.begin("supervisor")
        await s.until(lambda: "is ready" in s.home.service_log("supervisor").read_text().rsplit("taken up", 1)[1])
        s.begin("hub")
        (end,) = await s.ended("r1")
        assert end.exit.code == 7

    bare_scene.begin("hub")
    bare_scene.begin("supervisor")
    bare_scene.run(body)


def test_a_spool_that_cannot_be_used_is_told_in_one_line(bare_scene):
    bare_scene.home.spool.write_text("in the way")
    bare_scene.begin("supervisor")
    assert bare_scene.processes.pop("supervisor").wait(10) == 3
    text = bare_scene.home.service_log("supervisor").read_text()
    assert "spool" in text
    assert "Traceback" not in text
    bare_scene.home.spool.unlink()
