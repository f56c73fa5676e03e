"""A program that KILL does not end: it is not given up, its state is written down, and its end is still its own.

What waits for the kernel (state D) cannot be made at will. So the signals of this keeper go nowhere, and what
the kernel would say of the process is put in its place; process and journal are real.
"""

import os
import signal
import time

import pytest

from apsis_services.supervisor.zygote import keeper as keeper_module
from apsis_services.supervisor.zygote import ladder
from apsis_services.supervisor.zygote.identity import Identity, read_stat, start_ticks
from apsis_services.supervisor.zygote.journal import journal_path, read_journal
from apsis_services.supervisor.zygote.journal_file import take_claim
from apsis_services.supervisor.zygote.keeper import Keeper, Program
from apsis_services.supervisor.zygote.linux import look_at_end
from apsis_services.supervisor.zygote.orders import StopOrder, write_stop
from apsis_services.supervisor.zygote.request import StartRequest
from apsis_services.supervisor.zygote.usage import NOTHING


class NoKin:
    """Nobody beside the program."""

    def any(self):
        return False

    def signal(self, number):
        return

    def count(self):
        return 0


@pytest.fixture
def unkillable(tmp_path, monkeypatch):
    """A keeper whose program lives through all signals, in state D; and what was sent to it."""
    for name in ("journals", "runs", "archive"):
        (tmp_path / name).mkdir()
    pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], {}, setsid=True)
    request = StartRequest(7, "r1", 1, "a", None, {}, "h", ["sleep"], {}, {"signal": 15, "grace": 0.05})
    claim = request.claim(Identity(os.getpid(), start_ticks(os.getpid())), "b", "t")
    journal = take_claim(str(tmp_path), 7, "r1", [dict(claim)])
    journal.append({"e": "started", "pid": pid, "ticks": start_ticks(pid), "boot": "b", "at": "t", "mono": 0.0})
    directory = tmp_path / "runs" / "r1"
    directory.mkdir()
    sent: list[int] = []
    state = ["D"]
    monkeypatch.setattr(keeper_module.os, "killpg", lambda _pid, number: sent.append(number))
    monkeypatch.setattr(keeper_module, "read_stat", lambda asked: read_stat(asked)._replace(state=state[0]))
    monkeypatch.setattr(ladder, "STUCK_SECONDS", 0.1)
    monkeypatch.setattr(ladder, "KILL_PAUSE_STUCK", 0.05)
    keeper = Keeper(journal, claim, str(directory), Program(pid, "t", time.monotonic()), NoKin(), tree=NOTHING)
    yield keeper, pid, sent, state, lambda: read_journal(journal_path(tmp_path, 7, "r1"))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    journal.close()


def turn_until(keeper, condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        until = keeper.turn()
        time.sleep(max(0.0, min(until - time.monotonic(), 0.05)))


def test_an_unkillable_program_is_killed_again_and_again_and_its_state_written_down_once(unkillable):
    keeper, pid, sent, state, read = unkillable
    write_stop(keeper.directory, StopOrder(15, 0.05, "ann"))
    keeper.read_orders()
    turn_until(keeper, lambda: read().stuck is not None)
    found = read()
    assert (found.phase, found.locked, found.settled) == ("started", True, False)
    assert (found.stuck["pid"], found.stuck["state"]) == (pid, "D")
    size = len(sent)
    turn_until(keeper, lambda: len(sent) >= size + 3)
    assert set(sent[2:]) == {signal.SIGKILL}
    assert read().stuck == found.stuck, "one word for one state, however often it is killed"
    state[0] = "R"
    turn_until(keeper, lambda: read().stuck["state"] == "R")
    assert not keeper.finished


def test_when_it_ends_after_all_that_is_its_result(unkillable):
    keeper, pid, _, _, read = unkillable
    write_stop(keeper.directory, StopOrder(15, 0.0, "ann"))
    keeper.read_orders()
    turn_until(keeper, lambda: read().stuck is not None)
    os.kill(pid, signal.SIGKILL)
    while (outcome := look_at_end(pid)) is None:
        time.sleep(0.005)
    keeper.program_ended(outcome)
    found = read()
    assert (found.phase, found.result["signal"], found.result["killed_by"]) == ("done", 9, "stop by ann")
