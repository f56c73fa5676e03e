"""How a run is ended: stop, grace, timeout, signals, leftovers; and that all of it is ended."""

import os
import signal
import sys
import time

import pytest

from apsis_services.supervisor.zygote.identity import read_stat
from apsis_services.supervisor.zygote.orders import notify

DEAF = "trap '' TERM; echo up; while :; do sleep 0.05; done"


def test_a_stop_is_obeyed_and_said_to_be_by_whom(host):
    host.start("r1", "sleep", "60")
    host.started("r1")
    host.stop("r1", by="ann")
    result = host.done("r1").result
    assert (result["signal"], result["killed_by"], result["stopped"]) == (signal.SIGTERM, "stop by ann", True)
    assert result["elapsed"] < 30


def test_a_program_may_answer_a_stop_with_a_code_of_its_own(host):
    host.start("r1", "sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.02; done")
    host.printed("r1")
    host.stop("r1", grace=20)
    result = host.done("r1").result
    assert (result["code"], result["killed_by"], result["stopped"]) == (5, "stop by ann", True)


def test_the_stop_signal_is_the_one_asked_for(host):
    host.start("r1", "sh", "-c", "trap 'exit 6' USR1; echo up; while :; do sleep 0.02; done")
    host.printed("r1")
    host.stop("r1", number=signal.SIGUSR1, grace=20)
    assert host.done("r1").result["code"] == 6


def test_who_ignores_the_stop_signal_is_killed_after_the_grace_period(host):
    host.start("r1", "sh", "-c", DEAF)
    host.printed("r1")
    before = time.monotonic()
    host.stop("r1", grace=0.4)
    result = host.done("r1").result
    assert time.monotonic() - before >= 0.4
    assert (result["signal"], result["killed_by"]) == (signal.SIGKILL, "stop by ann")


def test_a_stopped_program_is_ended_too(host):
    """SIGSTOP keeps a program from ever seeing its TERM, unless it is woken."""
    script = "import signal, sys\nsignal.signal(15, lambda *_: sys.exit(5))\nprint('up', flush=True)\nsignal.pause()"
    host.start("r1", sys.executable, "-c", script)
    host.printed("r1")
    host.signal("r1", signal.SIGSTOP)
    host.wait(lambda: read_stat(host.state("r1").pid).state == "T", "stopped")
    host.stop("r1", grace=20)
    assert host.done("r1").result["code"] == 5


def test_a_second_stop_may_shorten_the_grace_but_not_lengthen_it(host):
    deaf = "trap 'echo got' TERM; echo up; while :; do sleep 0.02; done"
    host.start("r1", "sh", "-c", deaf)
    host.start("r2", "sh", "-c", deaf)
    host.printed("r1"), host.printed("r2")
    host.stop("r1", grace=60)
    host.printed("r1", 2)
    host.stop("r1", by="bob", grace=0)
    assert host.done("r1", 10).result["killed_by"] == "stop by bob"
    host.stop("r2", grace=0.8)
    host.printed("r2", 2)
    host.stop("r2", grace=60)
    assert host.done("r2", 10).result["signal"] == signal.SIGKILL


def test_a_timeout_sends_its_own_signal_once_and_then_kills(host):
    deaf = "trap 'echo got' INT; echo up; while :; do sleep 0.05; done"
    host.start("r1", "sh", "-c", deaf, timeout={"duration": 0.4, "signal": int(signal.SIGINT)}, grace=0.4)
    result = host.done("r1").result
    assert (result["signal"], result["killed_by"]) == (signal.SIGKILL, "timeout 0.4s")
    assert (result["timed_out"], result["stopped"]) == (True, False)
    assert host.output("r1") == b"up\ngot\n"
    assert result["elapsed"] >= 0.8


def test_a_program_that_ends_in_time_is_not_timed_out(host):
    result = host.ran("r1", "true", timeout={"duration": 20, "signal": 15}).result
    assert (result["code"], result["timed_out"]) == (0, False)


def test_signals_reach_the_whole_group_in_order_and_are_remembered(host):
    script = (
        "import signal\n"
        "signal.signal(signal.SIGHUP, lambda *_: print('hup', flush=True))\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('usr', flush=True))\n"
        "print('up', flush=True)\n"
        "while True: signal.pause()\n"
    )
    host.start("r1", sys.executable, "-c", script)
    host.printed("r1")
    host.signal("r1", signal.SIGHUP, order=1)
    host.printed("r1", 2)
    host.signal("r1", signal.SIGUSR1, order=2)
    assert host.printed("r1", 3) == ["up", "hup", "usr"]
    host.signal("r1", signal.SIGKILL, by="bob", order=3)
    result = host.done("r1").result
    assert (result["signal"], result["killed_by"], result["stopped"]) == (9, "signal 9 by bob", False)
    assert [name for name in os.listdir(host.directory("r1")) if name.startswith("signal")] == []


def test_an_order_that_makes_no_sense_is_logged_and_harms_nothing(host):
    host.start("r1", "sleep", "60")
    host.started("r1")
    (host.directory("r1") / "stop").write_text("{}")
    assert notify(host.state("r1"))
    host.wait(lambda: "order_unreadable" in host.log.read_text(), "logged")
    assert host.state("r1").phase == "started"
    host.stop("r1")
    assert host.done("r1").result["stopped"]


DAEMON = (
    "import os, sys, time\n"
    "if os.fork(): sys.exit(0)\n"
    "os.setsid()\n"
    "if os.fork(): os._exit(0)\n"
    "print(os.getpid(), flush=True)\n"
    "time.sleep(60)\n"
)


def test_a_daemonised_grandchild_is_ended_with_its_run(host):
    host.start("r1", "sh", "-c", '"$0" -c "$1"; sleep 60', sys.executable, DAEMON)
    daemon = int(host.printed("r1")[0])
    host.stop("r1")
    state = host.done("r1")
    assert state.done["leftovers"] == 0
    assert not host.lives(daemon)


def test_what_a_program_leaves_behind_is_ended(host):
    state = host.ran("r1", sys.executable, "-c", DAEMON)
    assert state.result["code"] == 0
    assert not state.result["stopped"]
    assert state.done["leftovers"] == state.done["left"] == 0
    assert host.tagged() == []


def test_a_result_is_known_while_leftovers_are_being_ended(host):
    host.start("r1", "sh", "-c", "(trap '' TERM; echo up; exec setsid sleep 60) & sleep 0.3; exit 4")
    state = host.wait(lambda: (s := host.state("r1")).result and s, "result")
    assert (state.phase, state.locked, state.result["code"]) == ("result", True, 4)
    assert host.done("r1", 9).done["leftovers"] == 0, "TERM, five seconds, KILL"
    assert host.tagged() == []


def test_leftovers_may_be_left_alone(host):
    state = host.ran("r1", sys.executable, "-c", DAEMON, leftovers="leave")
    assert (state.done["left"], state.done["leftovers"]) == (1, 0)
    host.wait(lambda: not host.state("r1").locked, "the shim is gone")
    daemon = int(host.printed("r1")[0])
    assert host.lives(daemon)
    os.kill(daemon, signal.SIGKILL)
    host.wait(lambda: not os.path.exists(f"/proc/{daemon}"), "the zygote reaps what was left alone")


def test_a_stop_ends_even_what_could_be_left_alone(host):
    host.start("r1", "sh", "-c", '"$0" -c "$1"; sleep 60', sys.executable, DAEMON, leftovers="leave")
    host.printed("r1")
    host.stop("r1")
    assert host.done("r1").done["left"] == 0
    assert host.tagged() == []


HOPPER = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
while True:  # a new session and a new parent at each hop
    time.sleep({pause})
    if os.fork():
        os._exit(0)
    os.setsid()
"""


@pytest.mark.parametrize("pause", [0.05, 0.002])
def test_one_that_hops_from_session_to_session_is_ended(host, pause):
    host.start("r1", "sh", "-c", '"$0" -c "$1" & sleep 60', sys.executable, HOPPER.format(pause=pause))
    host.printed("r1")
    host.stop("r1", grace=0.3)
    assert host.done("r1").done["leftovers"] == 0
    assert host.tagged() == []


def test_a_wide_tree_is_ended_whole(host):
    branch = "(trap '' TERM; for j in 1 2 3; do setsid sleep 60 & done; wait) &"
    script = f"for i in 1 2 3 4 5 6 7 8; do {branch} done; echo up; wait"
    host.start("r1", "sh", "-c", script)
    host.wait(lambda: len(host.tagged()) >= 33, "all of the tree")
    host.stop("r1", number=signal.SIGKILL, grace=0)
    assert host.done("r1").done["leftovers"] == 0
    assert host.tagged() == []
