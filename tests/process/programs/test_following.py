"""A class of a user's is made, started, followed and stopped in a process of its own, which another one can replace."""

import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Stage

MODULE = """
import os, signal, time
import apsis

class Say(apsis.Program):
    def __init__(self, word, times=1):
        self.word, self.times = word, times
    def start(self, run):
        print(" ".join([self.word] * self.times), run.run_id, run.job_id, run.arg("region"), run.schedule_time.year)

class Old(Say):
    @classmethod
    def from_jso(cls, jso):
        return cls(jso.pop("what"))
    def to_jso(self):
        return {"what": self.word}

class Give(apsis.Program):
    def __init__(self, what):
        self.what = what
    def start(self, run):
        return {"true": True, "false": False, "seven": 7, "bad": 300, "list": [1], "unknown": object(),
                "good": apsis.Result(message="well done"), "failed": apsis.Result(False, "too bad"),
                "coded": apsis.Result(False, code=9), "odd": apsis.Result(code="x"),
                "unsaid": {"a": object()}, "large": {"a": "x" * 70000}}[self.what]

class Raises(apsis.Program):
    def __init__(self, where):
        self.where = where
        if where == "init":
            raise ValueError("not like this")
    def start(self, run):
        if self.where == "start":
            raise ValueError("cannot start")
        return {}
    def update(self, run):
        raise ValueError("cannot look")

class Steps(apsis.Program):
    poll_interval = 0.02
    def start(self, run):
        self.left = 3
        return {"left": 3}
    def update(self, run):
        self.left -= 1
        print("left", self.left)
        return None if self.left else True

class Remote(apsis.Program):
    poll_interval = 0.05
    def start(self, run):
        self.id = "job-1"
        print("submitted", self.id)
        return {"id": self.id}
    def attach(self, run, state):
        self.id = state["id"]
        print("attached to", self.id)
    def update(self, run):
        print("looking, pid", os.getpid(), flush=True)
        if os.path.exists("finished"):
            return apsis.Result(message=f"{self.id} is done")
    def stop(self, run, signum):
        print("cancelling", self.id, signum)
        open("finished", "w").close()

class NoUpdate(apsis.Program):
    def start(self, run):
        return {}
"""


def of(name: str, **keys: Any) -> dict[str, Any]:
    return {"type": f"mine.{name}", **keys}


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_class_is_made_of_its_keys_and_told_of_its_run(stage: "Stage") -> None:
    stage.module("mine", MODULE)

    ran = stage.run(of("Say", word="hi", times=2))

    assert (ran.code, ran.out, ran.err) == (0, "hi hi r7 some/job north 2026\n", "")


def test_a_class_of_the_older_form_reads_its_keys_itself(stage: "Stage") -> None:
    stage.module("mine", MODULE)

    assert stage.run(of("Old", what="hello")).out.startswith("hello r7")


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("true", 0, ""),
        ("false", 1, ""),
        ("seven", 7, ""),
        ("good", 0, "well done\n"),
        ("failed", 1, "too bad\n"),
        ("coded", 9, ""),
        ("bad", 125, "Give.start returned 300; return true, false, an exit status of 0 to 255, or an apsis.Result"),
        ("list", 125, "Give.start returned [1]; return"),
        ("unknown", 125, "Give.start returned <object"),
        ("odd", 125, "Give.start returned Result("),
        ("unsaid", 125, "what Give returned to be found again is not JSON"),
        ("large", 125, "returned to be found again has 70009 bytes, and may have 65536"),
    ],
)
def test_what_a_class_returns_is_how_its_run_ends_and_anything_else_is_an_error(
    stage: "Stage", what: str, code: int, said: str
) -> None:
    stage.module("mine", MODULE)

    ran = stage.run(of("Give", what=what))

    assert ran.code == code
    assert said in ran.err


@pytest.mark.parametrize(
    ("program", "code", "said"),
    [
        (of("Raises", where="init"), 125, "mine.Raises: refuses its keys: ValueError: not like this"),
        (of("Raises", where="start"), 1, "ValueError: cannot start"),
        (of("Raises", where="update"), 1, "ValueError: cannot look"),
        (of("NoUpdate"), 1, "NoUpdate.start returned a mapping, but the class has no update"),
        (of("Say"), 125, "mine.Say: needs the key 'word'"),
        (of("Say", word="x", wrod="y"), 125, "mine.Say: takes no key 'wrod' (did you mean 'word'?)"),
        (of("Syo"), 125, "module mine has no 'Syo'"),
        ({"type": "gone.Away"}, 125, "there is no module 'gone'"),
    ],
)
def test_a_class_that_cannot_do_it_says_why(stage: "Stage", program: dict[str, Any], code: int, said: str) -> None:
    stage.module("mine", MODULE)

    ran = stage.run(program)

    assert ran.code == code
    assert said in ran.err


def test_a_class_is_asked_until_it_says_how_it_ended(stage: "Stage") -> None:
    stage.module("mine", MODULE)

    ran = stage.run(of("Steps"))

    assert (ran.code, ran.out) == (0, "left 2\nleft 1\nleft 0\n")


def test_a_class_whose_process_was_killed_is_attached_to_by_another_one(stage: "Stage") -> None:
    stage.module("mine", MODULE)
    process = stage.start(of("Remote"))
    until(lambda: "looking" in stage.output)
    first = int(stage.output.split("pid ")[1].split()[0])
    assert first != process.pid
    os.kill(first, signal.SIGKILL)
    until(lambda: "attached to job-1" in stage.output)
    (stage.folder / "finished").touch()

    assert process.wait(60) == 0
    assert stage.output.count("submitted job-1") == 1
    assert "ended by signal 9; another one takes it up" in stage.output
    assert stage.output.endswith("job-1 is done\n")


def test_a_class_is_told_that_its_run_is_to_be_stopped_once(stage: "Stage") -> None:
    stage.module("mine", MODULE)
    process = stage.start(of("Remote"))
    until(lambda: "looking" in stage.output)
    os.killpg(process.pid, signal.SIGTERM)

    assert process.wait(60) == 0
    assert stage.output.count("cancelling job-1 15") == 1
    assert stage.output.endswith("job-1 is done\n")


def test_a_class_without_stop_is_ended_by_the_signal(stage: "Stage") -> None:
    stage.module("mine", MODULE.replace("def stop", "def halt"))
    process = stage.start(of("Remote"))
    until(lambda: "looking" in stage.output)
    os.killpg(process.pid, signal.SIGTERM)

    assert process.wait(60) == -signal.SIGTERM
    assert "another one" not in stage.output
