"""Commands that come again and again, also out of order and from a life that is over: obeyed once."""

import os
import random

from apsis.messages.dispatch import Commands, Signal, Start, Stop

#: appends a line to a file for each start, and waits to be ended
STARTED = """
import sys, time
with open(sys.argv[1], "ab", buffering=0) as file:
    file.write(b"started\\n")
time.sleep(float(sys.argv[2]))
"""


def test_a_start_sent_a_thousand_times_runs_once_though_the_supervisor_is_killed_among_them(scene, tmp_path):
    """Alone and in company, before, while and after the run lives, to three supervisors one after another."""
    ledger = tmp_path / "ledger"
    chance = random.Random(7)

    async def body(s) -> None:
        for number in range(4):
            s.scheduler.start(f"r{number}", os.sys.executable, "-c", STARTED, str(ledger), "0.4")
        await s.until(lambda: s.scheduler.binding)
        starts = list(s.scheduler.orders.values())
        sent = 0
        while sent < 1_000:
            some = chance.sample(starts, chance.randint(1, 4))
            s.scheduler.peer.send("supervisor/local", s.scheduler.commands(some))
            sent += len(some)
            if chance.random() < 0.2:
                await s.until(lambda: True)
            if sent % 350 < 4 and "supervisor" in s.processes:
                s.kill("supervisor")
                s.begin("supervisor")
        ends = await s.ended("r0", "r1", "r2", "r3")
        assert [end.exit.code for end in ends] == [0, 0, 0, 0]
        for start in starts:
            s.scheduler.peer.send("supervisor/local", s.scheduler.commands([start] * 20))
        late = s.scheduler.start("r9", os.sys.executable, "-c", STARTED, str(ledger), "0")
        await s.ended("r9")
        assert s.scheduler.answers[late].state in ("claimed", "started", "result", "done")
        assert ledger.read_bytes() == b"started\n" * 5
        finished = [report for report in s.scheduler.reports if type(report).__name__ == "Finished"]
        assert len(finished) == 5

    scene.run(body)


def test_what_an_older_life_of_the_scheduler_sent_is_not_obeyed(scene, tmp_path):
    """Its messages may still lie in a queue when its next life has spoken."""
    ledger = tmp_path / "ledger"

    async def body(s) -> None:
        await s.until(lambda: s.scheduler.binding)
        epoch, boot = s.scheduler.binding
        s.scheduler.term = 5
        s.scheduler.start("r1", os.sys.executable, "-c", STARTED, str(ledger), "0")
        await s.ended("r1")
        start = s.scheduler.orders[1]
        old = Start(
            **{name: getattr(start, name) for name in start.__struct_fields__} | {"dispatch": 9, "run_id": "r2"}
        )
        stop = Stop(dispatch=10, run_id="r1")
        journal = s.scheduler.commands([]).journal
        for item in (old, stop):
            message = Commands(journal=journal, term=4, epoch=epoch, boot=boot, floor=0, items=[item])
            s.scheduler.peer.send("supervisor/local", message)
        s.scheduler.start("r3", os.sys.executable, "-c", STARTED, str(ledger), "0")
        await s.ended("r3")
        assert ledger.read_bytes() == b"started\n" * 2
        assert s.scheduler.of("r2") == []

    scene.run(body)


def test_a_number_at_or_below_the_floor_is_settled_and_starts_nothing(scene, tmp_path):
    ledger = tmp_path / "ledger"

    async def body(s) -> None:
        await s.until(lambda: s.scheduler.binding)
        epoch, boot = s.scheduler.binding
        journal = s.scheduler.commands([]).journal
        first = s.scheduler.start("r1", os.sys.executable, "-c", STARTED, str(ledger), "0")
        await s.ended("r1")
        start = s.scheduler.orders[first]
        fields = {name: getattr(start, name) for name in start.__struct_fields__}
        # the floor passes 50; what carries a number below it was answered long ago, whatever it says
        above = Signal(dispatch=60, run_id="r1", signal=10, by="ann")
        s.scheduler.peer.send(
            "supervisor/local",
            Commands(journal=journal, term=s.scheduler.term, epoch=epoch, boot=boot, floor=50, items=[above]),
        )
        await s.until(lambda: 60 in s.scheduler.answers)
        again = Start(**fields | {"dispatch": 40, "run_id": "r7"})
        s.scheduler.peer.send(
            "supervisor/local",
            Commands(journal=journal, term=s.scheduler.term, epoch=epoch, boot=boot, floor=50, items=[again]),
        )
        await s.until(lambda: 40 in s.scheduler.answers)
        assert s.scheduler.answers[40].state == "settled"
        assert ledger.read_bytes() == b"started\n"
        assert s.scheduler.of("r7") == []

    scene.run(body)
