"""Each row of the table of program types: its example is read, and one run of it is bound."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from apsis import addresses
from apsis.jobs import JobError
from apsis.jobs.bind import Bound, expand
from apsis.jobs.job import Job
from apsis.jobs.parse import parse_job
from apsis.jobs.yaml_file import read_yaml
from apsis.programs.noop import NoOp
from apsis.programs.process import ProcessProgram
from apsis.programs.templated import BindError

EXAMPLES = Path(__file__).resolve().parents[3] / "docs/jobs/programs"


def example(name: str) -> Job:
    document = read_yaml((EXAMPLES / f"{name}.yaml").read_bytes())
    assert not document.flaws
    return parse_job(name, document.value)


def process(name: str, **args: str) -> ProcessProgram:
    found = bound(example(name), **args).program
    assert isinstance(found, ProcessProgram)
    return found


def bound(job: Job, **args: str) -> Bound:
    return expand(job, "r7", {**{key: each.default for key, each in job.params.items() if each.default}, **args}, None)


def last_word(program: ProcessProgram) -> Any:
    return json.loads(program.argv[-1])


def made(program: Any) -> Job:
    return parse_job("x", {"params": ["date"], "program": program})


def refused(program: Any) -> str:
    with pytest.raises(JobError) as caught:
        made(program)
    return " | ".join(finding.message for finding in caught.value.findings)


def test_row_no_op() -> None:
    assert bound(example("no-op"), minutes="2").program == NoOp(duration=120, success=True)


def test_row_program() -> None:
    assert process("program", date="2026-06-30 x").argv == (
        "/usr/bin/rsync",
        "-a",
        "/srv/in/2026-06-30 x/",
        "/srv/out/",
    )


def test_row_shell() -> None:
    program = process("shell", date="a b")

    assert program.argv[:2] == ("/bin/bash", "-c")
    assert "/srv/in/'a b'/*.csv" in program.argv[2]


def test_row_shell_another_and_login() -> None:
    assert process("shell-login").argv == ("/bin/sh", "-l", "-c", 'echo "$PATH"')


def test_row_short_forms() -> None:
    assert process("short-text").argv == ("/bin/bash", "-c", "echo hello")
    assert process("short-list").argv == ("/bin/echo", "hello")


def test_row_procstar() -> None:
    program = process("procstar")

    assert (program.type, program.argv) == ("procstar", ("/usr/bin/id",))
    assert (program.host, program.user) == ("local", "nobody")
    assert program.timeout is not None
    assert (program.timeout.duration, program.timeout.signal) == (300, signal.SIGTERM)
    assert (program.stop.signal, program.stop.grace) == (signal.SIGUSR2, 15)


def test_row_procstar_shell() -> None:
    program = process("procstar-shell")

    assert program.argv == ("/bin/bash", "-c", "/usr/bin/echo 'Hello, world!'")
    assert program.host is None  # the group that agents join who are told no other


def test_row_procstar_templates_resources_and_both_spellings() -> None:
    keys = {"group_id": "g-{{ date }}", "sudo_user": "u-{{ date }}", "resources": {"mem_max_gb": 2, "vcpu": 1.5}}
    program = bound(made({"type": "procstar", "argv": ["x"], **keys}), date="1").program

    assert isinstance(program, ProcessProgram)
    assert (program.host, program.user) == ("g-1", "u-1")
    assert program.around.cgroup is not None
    assert (program.around.cgroup.memory_max, program.around.cgroup.cpu_max) == (2_000_000_000, 1.5)
    said = refused({"type": "procstar", "argv": ["x"], "group_id": "a", "host": "b", "gruop_id": "c"})
    assert "group_id: means the same as `host`" in said
    assert "unknown key 'gruop_id' in the program (did you mean 'group_id'?)" in said


def test_row_python() -> None:
    program = process("python", date="x")

    assert program.argv[:6] == (sys.executable, "-P", "-m", "apsis.programs.runner", "function", "calendar:prmonth")
    assert last_word(program) == {"kwargs": {"theyear": 2026, "themonth": 6}}
    assert program.to_json()["function"] == "calendar:prmonth"


def test_row_python_by_another_interpreter() -> None:
    program = process("python-other", date="2026-06-30")

    assert program.argv[0] == "/usr/bin/python3"
    assert program.argv[1].endswith("/apsis/programs/runner.py")
    assert last_word(program) == {"kwargs": {"obj": {"date": "2026-06-30", "numbers": [1, 2]}}}


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ({"type": "python"}, "the program needs the key 'function'"),
        ({"type": "python", "function": "a.b"}, "function: expected package.module:name, got 'a.b'"),
        ({"type": "python", "function": "a:b", "kwargs": [1]}, "kwargs: expected a mapping, got a list"),
        ({"type": "python", "function": "a:b", "kwargs": {"x": float("nan")}}, "is no number that can be passed on"),
        ({"type": "http", "url": "example.org"}, "url: expected an address like https://example.org/path"),
        ({"type": "http", "url": "http://u:p@example.org"}, "url: give the user and the password as a header"),
        ({"type": "http", "url": "http://a/b c"}, "an address has no spaces"),
        ({"type": "http", "url": "http://a", "method": "BREW"}, "method: expected one of GET"),
        ({"type": "http", "url": "http://a", "headers": {"X Y": "z"}}, "'X Y' cannot be the name of a header"),
        ({"type": "http", "url": "http://a", "headers": {"X": "a\nb"}}, "a header stands on one line"),
        ({"type": "http", "url": "http://a", "expect": {"status": 42}}, "expected a status like 200"),
        ({"type": "http", "url": "http://a", "expect": {"stauts": 200}}, "did you mean 'status'?"),
        ({"type": "archive", "path": "/x"}, "the program needs the key 'age'"),
        ({"type": "archive", "age": "1 day", "path": "/x", "count": 0}, "count: expected a number from 1 on"),
        ({"type": "archive", "age": "soon", "path": "/x"}, "age: "),
        ({"type": "vacuum", "path": "/x"}, "unknown key 'path'"),
        ({"type": "pyhton", "function": "a:b"}, "unknown program type 'pyhton'"),
        ({"type": "pyhton", "function": "a:b"}, "did you mean 'python'?"),
    ],
)
def test_a_key_that_is_wrong_says_so(program: dict[str, Any], said: str) -> None:
    assert said in refused(program)


def test_row_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_allowed", ["10.0.0.0/8"])
    program = process("http", date="2026-06-30")

    assert program.argv[:4] == (sys.executable, "-P", "-m", "apsis.programs.fetch")
    assert last_word(program) == {
        "url": "https://api.example.org/prices/2026-06-30",
        "method": "POST",
        "headers": {"Authorization": "Bearer ${TOKEN}"},
        "body": {"date": "2026-06-30", "publish": True},
        "expect": {"status": ["200", "201"], "json": {"state": "done"}},
        "secrets": ["TOKEN"],
        "allowed": ["10.0.0.0/8"],
    }
    assert program.around.secrets == {"TOKEN": "prices-api"}
    assert program.timeout is not None


def test_a_url_that_an_arg_makes_bad_is_an_error_of_the_run() -> None:
    job = made({"type": "http", "url": "http://{{ date }}/", "headers": {"X": "{{ date }}"}})

    for date in ("a b", "u:p@host"):
        with pytest.raises(BindError, match=r"program\.url"):
            bound(job, date=date)
    with pytest.raises(BindError, match=r"program\.headers\.X: a header stands on one line"):
        bound(made({"type": "http", "url": "http://a/", "headers": {"X": "{{ date }}"}}), date="a\r\nEvil: 1")


@pytest.mark.parametrize(
    ("name", "deed", "keys"),
    [
        ("stats", "stats", {"path": "stats/2026-06-30.json"}),
        ("internal-stats", "stats", {"path": "/var/log/apsis/stats/2026-06-30.json"}),
        (
            "archive",
            "archive",
            {"age": 1_209_600, "path": "db/archive.db", "count": 10_000, "chunk_size": 1_000, "chunk_sleep": 10},
        ),
        (
            "internal-archive",
            "archive",
            {
                "age": 1_209_600,
                "path": "/srv/apsis/archive.db",
                "count": 10_000,
                "chunk_size": 1_000,
                "chunk_sleep": 10,
            },
        ),
        ("vacuum", "vacuum", {}),
        ("internal-vacuum", "vacuum", {}),
        ("retention", "retention", {}),
    ],
)
def test_row_internal(name: str, deed: str, keys: dict[str, Any]) -> None:
    job = example(name)
    program = process(name, **({"date": "2026-06-30"} if job.params else {}))

    assert program.argv[:5] == (sys.executable, "-P", "-m", "apsis.upkeep", deed)
    assert last_word(program) == keys


def test_row_archive_without_chunks_is_one_chunk() -> None:
    program = bound(
        made({"type": "archive", "age": "{{ date }} days", "path": "a.db", "count": "5{{ date }}"}), date="3"
    )

    assert isinstance(program.program, ProcessProgram)
    assert last_word(program.program) == {
        "age": 3 * 86_400, "path": "a.db", "count": 53, "chunk_size": 53, "chunk_sleep": 0,
    }  # fmt: skip


def test_row_class() -> None:
    program = process("class", date="2026-06-30")

    assert program.argv[:6] == (
        sys.executable, "-P", "-m", "apsis.programs.runner", "class", "apsis_example.programs.Copy",
    )  # fmt: skip
    assert last_word(program) == {
        "keys": {"source": "/srv/in/2026-06-30.csv", "target": "/srv/out/2026-06-30.csv"}, "stop": 15,
    }  # fmt: skip
    assert program.timeout is not None


def test_row_common_keys() -> None:
    program = process("common-keys", date="2026-06-30", where="north")

    assert (program.host, program.user, program.group, program.cwd) == (
        "north", "north-worker", "workers", "/srv/2026-06-30",
    )  # fmt: skip
    assert program.env == {"DATE": "2026-06-30", "LANG": None}
    around = program.around
    assert (around.env_file, around.inherit_env) == ("/etc/default/worker-north", ["HTTPS_PROXY"])
    assert (around.secrets, around.stdin) == ({"DB_PASSWORD": "warehouse"}, "2026-06-30\n")
    assert (around.umask, around.nice) == (0o027, 5)
    assert around.limits is not None
    assert (around.limits.cpu, around.limits.memory, around.limits.open_files) == (3600, 2 << 30, 4096)
    assert (around.limits.processes, around.limits.file_size) == (500, 10 << 30)
    assert around.cgroup is not None
    assert (around.cgroup.memory_max, around.cgroup.cpu_max, around.cgroup.pids_max) == (4 << 30, 1.5, 200)
    assert program.success_exit_codes == (0, 3)
    assert program.timeout is not None
    assert (program.timeout.duration, program.timeout.signal) == (3600, signal.SIGINT)
    assert (program.stop.signal, program.stop.grace) == (signal.SIGHUP, 90)
    assert program.leftovers == "leave"
