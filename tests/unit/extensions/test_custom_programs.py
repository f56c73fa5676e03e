"""A job that names a class of a user's: what is wrong with the class is a finding of that job, and of no other."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from apsis import extensions
from apsis.jobs.bind import expand
from apsis.jobs.load import load_jobs
from apsis.jobs.parse import parse_job
from apsis.programs.process import ProcessProgram

Writes = Callable[[str, str], Path]

MINE = """
import apsis

class Copy(apsis.Program):
    def __init__(self, source, options=None):
        pass
    def start(self, run):
        pass

class Unfinished(apsis.Program):
    pass

class Anything(apsis.Schedule):
    def times(self, after):
        return []
"""


def findings(folder: Path, **jobs: str) -> dict[str, str]:
    """Return file: what is said of it, with line and column."""
    for name, text in jobs.items():
        (folder / f"{name}.yaml").write_text(text)
    loaded = load_jobs(folder)
    assert "good" in loaded.jobs
    return {each.file: f"{each.line}:{each.column} {each.message}" for each in loaded.errors}


GOOD = "program: {type: mine.Copy, source: a, options: {x: [1, '{{ run_id }}']}}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("program:\n  type: mine.Copy\n", "2:9 type: mine.Copy: needs the key 'source'"),
        (
            "program:\n  type: mine.Copy\n  sorce: a\n",
            "2:9 type: mine.Copy: takes no key 'sorce' (did you mean 'source'?)",
        ),
        ("program:\n  type: mine.Cpoy\n  source: a\n", "2:9 type: mine.Cpoy: module mine has no 'Cpoy'"),
        (
            "program:\n  type: mine.Unfinished\n",
            "2:9 type: mine.Unfinished: lacks what apsis.Program asks of it: start",
        ),
        ("program:\n  type: mine.Anything\n", "2:9 type: mine.Anything: is not derived from apsis.Program"),
        ("program:\n  type: away.Class\n", "2:9 type: away.Class: there is no module 'away'; install its package"),
        ("program:\n  type: broken.Class\n", "2:9 type: broken.Class: importing broken fails: ZeroDivisionError"),
        ("program:\n  type: kopie\n", "2:9 type: unknown program type 'kopie'"),
        ("program:\n  type: mine.Copy\n  source: .nan\n", "3:11 .nan is not a finite number"),
        ("program:\n  type: mine.Copy\n  source: a\n  timeout: 5\n", "4:12 timeout: expected a mapping"),
    ],
)
def test_a_class_that_does_not_fit_is_a_finding_with_its_place(
    tmp_path: Path, module: Writes, text: str, said: str
) -> None:
    module("mine", MINE)
    module("broken", "1 / 0")
    jobs = tmp_path / "jobs"
    jobs.mkdir()

    found = findings(jobs, good=GOOD, bad=text)

    assert set(found) == {"bad.yaml"}
    assert found["bad.yaml"].startswith(said)


def test_a_short_name_of_the_config_is_a_type_and_the_runner_is_given_the_class(module: Writes) -> None:
    module("mine", MINE)
    extensions.configure({"program": {"copy": "mine.Copy", "sh": "shell", "shell": "mine.Copy"}})
    job = parse_job("x", {"program": {"type": "copy", "source": "{{ run_id }}", "timeout": {"duration": 5}}})
    program = expand(job, "r7", {}, None).program

    assert isinstance(program, ProcessProgram)
    assert program.argv[4:6] == ("class", "mine.Copy")
    assert program.argv[6] == '{"keys": {"source": "r7"}, "stop": 15}'
    assert (program.type, program.to_json()["keys"]) == ("copy", {"source": "r7"})
    assert program.timeout is not None
    # a short name may stand for a type of Apsis's own, and never takes the place of one
    for kind in ("sh", "shell"):
        shell = expand(parse_job("x", {"program": {"type": kind, "command": "true"}}), "r7", {}, None).program
        assert isinstance(shell, ProcessProgram)
        assert shell.argv == ("/bin/bash", "-c", "true")


def test_a_service_takes_a_class_on_trust_and_does_not_import_it(module: Writes) -> None:
    module("mine", "raise SystemExit('imported')")
    extensions.configure({}, imports=False)

    job = parse_job("x", {"program": {"type": "mine.Copy", "whatever": 1}})

    assert job.program.type == "mine.Copy"
    assert "mine" not in sys.modules


def test_what_apsis_runs_by_its_own_interpreter_has_its_module_path(module: Writes) -> None:
    module("mine", MINE)
    for program, names in (
        ({"type": "mine.Copy", "source": "a"}, ["PYTHONPATH"]),
        ({"type": "python", "function": "a:b"}, ["PYTHONPATH"]),
        ({"type": "python", "function": "a:b", "inherit_env": ["X"]}, ["X", "PYTHONPATH"]),
        ({"type": "python", "function": "a:b", "inherit_env": True}, True),
        ({"type": "python", "function": "a:b", "env": {"PYTHONPATH": "/mine"}}, False),
        ({"type": "python", "function": "a:b", "python": "/usr/bin/python3"}, False),
        ({"type": "shell", "command": "true"}, False),
    ):
        found = expand(parse_job("x", {"program": program}), "r7", {}, None).program
        assert isinstance(found, ProcessProgram)
        assert found.around.inherit_env == names, program
