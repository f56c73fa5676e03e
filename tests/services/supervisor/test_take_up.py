"""A supervisor that starts anew finds everything again: what runs, what has ended, and what it has told of it."""

import hashlib
import os
import signal
from pathlib import Path

import pytest

from apsis.messages.dispatch import Finished, Started
from apsis_services.supervisor.zygote.identity import boot_id
from apsis_services.supervisor.zygote.journal import run_directory
from apsis_services.supervisor.zygote.journal_file import take_claim
from apsis_services.supervisor.zygote.records import VERSION, Record

JOURNAL = 0x1234
FINISHED = 2000
#: for each journal, all that is read besides included; it is about 1.4
READS = 2
#: what the program of a finished run would leave behind, were it started once more
MARK = "echo started >> {}"
SIGNALS = (signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1)
HASH = hashlib.sha256(b"[]").hexdigest()
AT = "2026-01-01T00:00:00.000000Z"
USAGE = {"utime": 0.01, "stime": 0.01, "maxrss": 1_000_000}


def records(epoch: str, run_id: str, dispatch: int, code: int) -> list[Record]:
    """Return the journal of a run that has ended, as its shim would have written it."""
    return [
        {
            "e": "claim", "v": VERSION, "journal": JOURNAL, "run_id": run_id, "dispatch": dispatch,
            "job_id": "test/job", "schedule_time": AT, "args": {}, "args_hash": HASH, "epoch": epoch,
            "streams": "merged", "stop": {"signal": 15, "grace": 1.0}, "timeout": None, "leftovers": "kill", "memo": {},
            "max_bytes": None, "keep": None, "boot": boot_id(), "pid": 1, "ticks": 1, "at": AT,
        },
        {"e": "started", "pid": 1, "ticks": 1, "boot": boot_id(), "at": AT, "mono": 1.0},
        {
            "e": "result", "code": code, "signal": None, "error": "", "killed_by": "", "stopped": False,
            "timed_out": False, "start": AT, "end": AT, "elapsed": 0.5, "rusage": USAGE, "maxrss_floor": 0,
        },
        {"e": "done", "at": AT, "rusage": USAGE, "leftovers": 0, "left": 0, "outputs": {"output": 0}},
    ]  # fmt: skip


def settle(spool: Path, epoch: str, run_id: str, dispatch: int, code: int) -> None:
    """Leave behind what a run leaves that has printed nothing."""
    folder = Path(run_directory(spool, JOURNAL, run_id))
    folder.mkdir(mode=0o700)
    (folder / "output").touch()
    journal = take_claim(os.fspath(spool), JOURNAL, run_id, records(epoch, run_id, dispatch, code))
    assert journal is not None
    journal.close()


def reads(pid: int) -> int:
    """Return how often a process has read from a file so far."""
    return int(dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())["syscr"])


@pytest.mark.parametrize("live", [40, pytest.param(200, marks=pytest.mark.nightly)])
@pytest.mark.timeout(240)
def test_a_restarted_supervisor_tells_each_of_many_runs_once_and_starts_none_again(scene, live):
    async def body(s) -> None:
        living = [f"live{number}" for number in range(live)]
        ended = [f"done{number}" for number in range(FINISHED)]
        marks = s.root / "marks"
        for run_id in living:
            s.scheduler.start(run_id, "/bin/sleep", "600")
        await s.until(lambda: len(s.scheduler.reports) == live, "the start of each", 60)
        pids = {report.run_id: report.pid for report in s.scheduler.reports if isinstance(report, Started)}
        assert len(pids) == live

        s.kill("supervisor")
        for number, run_id in enumerate(ended):
            settle(s.home.spool, s.epoch, run_id, live + 1 + number, number % 7)
        os.kill(pids[living[0]], signal.SIGTERM)
        s.begin("supervisor")
        told = live + FINISHED + 1
        await s.until(lambda: len(s.scheduler.reports) >= told, "what has ended meanwhile", 60)

        # All of it is told and nothing is forgotten: the next one finds as much, and has nothing new to tell. Every
        # start comes once more, as from a scheduler that has got no answer.
        s.kill("supervisor")
        os.kill(pids[living[1]], signal.SIGKILL)
        s.scheduler.binding = None
        s.scheduler.answers.clear()
        for run_id in ended:
            s.scheduler.start(run_id, "/bin/sh", "-c", MARK.format(marks))
        s.begin("supervisor")
        await s.until(lambda: s.scheduler.end(living[1]), "the end of what was killed meanwhile", 60)
        await s.until(lambda: len(s.scheduler.answers) == live + FINISHED, "an answer to each start", 60)
        log = s.home.service_log("supervisor").read_text()
        assert log.count(f" {live + FINISHED} runs taken up") == 2
        # a second look at each of them, or a look at all for one, would be twice as many and more
        assert reads(s.processes["supervisor"].pid) < READS * (live + FINISHED)

        for number, run_id in enumerate(living[2:]):
            os.kill(pids[run_id], SIGNALS[number % 3])
        await s.until(lambda: len(s.scheduler.reports) >= 2 * live + FINISHED, "the end of each", 60)
        ends: dict[str, Finished] = {}
        for report in s.scheduler.reports:
            if isinstance(report, Finished):
                assert report.run_id not in ends, f"{report.run_id} ended twice"
                ends[report.run_id] = report
        assert len(s.scheduler.reports) == 2 * live + FINISHED
        assert [ends[run_id].exit.code for run_id in ended] == [number % 7 for number in range(FINISHED)]
        expected = [signal.SIGTERM, signal.SIGKILL, *(SIGNALS[number % 3] for number in range(live - 2))]
        assert [ends[run_id].exit.signal for run_id in living] == expected
        assert not marks.exists()

    scene.run(body, 200)
