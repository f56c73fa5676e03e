"""A function is called with its arguments; how it ends is the end of its run."""

import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Stage

MODULE = """
import os, sys

def add(a, b=1):
    print("adding")
    return a + b

def give(value):
    return value

def nothing(**kwargs):
    print(sorted(kwargs.items()))

def boom(x):
    inner(x)

def inner(x):
    raise ValueError(f"no {x}")

def leave(code):
    sys.exit(code)

async def later():
    import asyncio
    await asyncio.sleep(0.01)
    return {"done": True}

def slow():
    print("begun")
    import time
    time.sleep(60)

class Space:
    @staticmethod
    def within():
        print("within", __name__, os.getcwd())

number = 5
"""


def call(function: str, **kwargs: Any) -> dict[str, Any]:
    return {"type": "python", "function": f"work:{function}", "kwargs": kwargs}


@pytest.mark.parametrize(
    ("program", "code", "out"),
    [
        (call("add", a=-1), 0, "adding\n"),
        (call("add", a=41), 42, "adding\n"),
        (call("give", value=True), 0, ""),
        (call("give", value=False), 1, ""),
        (call("give", value=None), 0, ""),
        (call("give", value="text"), 0, '"text"\n'),
        (call("give", value={"ü": [1, 2.5]}), 0, '{"ü": [1, 2.5]}\n'),
        (call("later"), 0, '{"done": true}\n'),
        (call("leave", code=3), 3, ""),
        (call("nothing", b="2", a=[1]), 0, "[('a', [1]), ('b', '2')]\n"),
    ],
)
def test_what_a_function_returns_is_how_its_run_ends(
    stage: "Stage", program: dict[str, Any], code: int, out: str
) -> None:
    stage.module("work", MODULE)

    ran = stage.run(program)

    assert (ran.code, ran.out, ran.err) == (code, out, "")


def test_what_a_function_raises_is_a_failure_with_its_traceback(stage: "Stage") -> None:
    stage.module("work", MODULE)

    ran = stage.run(call("boom", x="way"))

    assert ran.code == 1
    lines = ran.err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith('work.py", line 15, in boom')
    assert lines[-1] == "ValueError: no way"
    assert "apsis" not in ran.err


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (call("missing"), "Error: module work has no function 'missing'"),
        (call("number"), "Error: module work has no function 'number'"),
        ({"type": "python", "function": "nowhere:f"}, "Error: the module nowhere of nowhere:f cannot be imported by"),
        ({"type": "python", "function": "broken:f"}, "ZeroDivisionError: division by zero"),
        ({"type": "python", "function": "leaving:f"}, "SystemExit: 0"),
        (call("give", value=256), "Error: it returned 256, and an exit status is 0 to 255"),
    ],
)
def test_what_cannot_be_called_is_no_failure_of_the_function(
    stage: "Stage", program: dict[str, Any], said: str
) -> None:
    stage.module("work", MODULE)
    stage.module("broken", "1 / 0")
    stage.module("leaving", "import sys\nsys.exit(0)")

    ran = stage.run(program)

    assert ran.code == 125
    assert said in ran.err


def test_wrong_arguments_are_a_failure_that_names_them(stage: "Stage") -> None:
    stage.module("work", MODULE)

    ran = stage.run(call("add", c=1))

    assert ran.code == 1
    assert "add() got an unexpected keyword argument 'c'" in ran.err


def test_a_function_within_a_class_is_found(stage: "Stage") -> None:
    stage.module("work", MODULE)

    assert stage.run(call("Space.within")).out == f"within work {stage.folder}\n"


def test_modules_of_the_working_directory_hide_nothing_that_the_runner_needs(stage: "Stage") -> None:
    stage.module("work", MODULE)
    for name in ("apsis", "json", "traceback", "importlib", "select"):
        stage.module(name, "raise RuntimeError('the wrong module')")

    assert stage.run(call("add", a=-1)).code == 0


def test_what_is_printed_is_seen_at_once_and_a_signal_ends_it(stage: "Stage") -> None:
    stage.module("work", MODULE)
    process = stage.start(call("slow"))
    deadline = time.monotonic() + 30
    while "begun" not in stage.output:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.terminate()

    assert process.wait(30) == -15


def test_another_interpreter_needs_no_apsis(stage: "Stage") -> None:
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin:/bin")
    if python is None:
        pytest.skip("there is no other interpreter on this machine")
    has = subprocess.run([python, "-I", "-c", "import apsis"], cwd="/", capture_output=True)
    assert has.returncode != 0, "it has Apsis; this test would prove nothing"
    stage.module("work", MODULE + "\ndef which():\n    print(sys.executable)\n    import http, signal\n")

    ran = stage.run({**call("which"), "python": python})

    assert (ran.code, ran.out, ran.err) == (0, f"{python}\n", "")
