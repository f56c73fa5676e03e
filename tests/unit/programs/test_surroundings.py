"""The common keys beyond a program's words: their forms, what is refused, and what a run shows of them."""

import pytest

from apsis.definitions.fields import Fields
from apsis.definitions.finding import Findings
from apsis.messages.body import decode, encode
from apsis.messages.dispatch import Cgroup, Limits, Process
from apsis.programs.registry import read_program
from apsis.programs.sizes import parse_size, show_size
from apsis.programs.templated import BindError
from apsis.programs.variables import arg_variable, colliding_params


def read(**keys):
    """Return a program with these keys, and what was found wrong."""
    findings = Findings()
    program = {"type": "program", "argv": ["x"], **keys}
    fields = Fields({"program": program}, (), findings, "the job")
    return read_program(fields), [str(each.message) for each in findings.problems]


def plain(value, _key):
    return value.removesuffix("\n")


def process(**keys) -> Process:
    spec, wrong = read(**keys)
    assert wrong == []
    return spec.bind(plain).to_process()


def refused(**keys) -> str:
    spec, wrong = read(**keys)
    assert spec is None
    assert len(wrong) == 1
    return wrong[0]


def test_each_key_reaches_the_supervisor_over_the_wire():
    keys = {
        "env_file": "/etc/env",
        "inherit_env": ["A", "B"],
        "secrets": {"TOKEN": "db-token"},
        "stdin": "text\n",
        "umask": "027",
        "nice": 5,
        "limits": {"cpu": "1 min", "memory": "1.5G", "open_files": 100, "processes": 50, "file_size": "10 MiB"},
        "cgroup": {"memory_max": "512M", "cpu_max": "150%", "pids_max": 20},
    }
    found = decode(Process, encode(process(**keys)))
    assert (found.env_file, found.inherit_env, found.secrets) == ("/etc/env", ["A", "B"], {"TOKEN": "db-token"})
    assert (found.stdin, found.stdin_file, found.umask, found.nice) == ("text\n", None, 0o027, 5)
    assert found.limits == Limits(cpu=60, memory=3 << 29, open_files=100, processes=50, file_size=10 << 20)
    assert found.cgroup == Cgroup(memory_max=512 << 20, cpu_max=1.5, pids_max=20)


def test_nothing_is_asked_for_by_default():
    found = process()
    assert found == Process(argv=["x"])
    assert (found.cgroup, process(cgroup={}).cgroup) == (None, Cgroup())
    assert process(stdin={"file": "/data/in"}).stdin_file == "/data/in"


@pytest.mark.parametrize(("value", "mask"), [("022", 0o022), (18, 0o022), ("0o77", 0o077), (0, 0), ("0777", 0o777)])
def test_a_mask_is_octal(value, mask):
    assert process(umask=value).umask == mask


@pytest.mark.parametrize("value", [22, 27, 77])
def test_a_mask_without_its_zero_is_refused_and_both_ways_are_shown(value):
    assert f'"0{value}" or "{value:04o}"' in refused(umask=value)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"umask": "9"}, "expected a mask"),
        ({"umask": -1}, "expected a mask"),
        ({"umask": True}, "expected a mask"),
        ({"nice": 20}, "-20 (first) to 19 (last)"),
        ({"limits": {"memory": "12 apples"}}, "write a number of bytes"),
        ({"limits": {"memory": 0}}, "is no size"),
        ({"limits": {"cpu": 0}}, "a second or more"),
        ({"limits": {"open_files": 1.5}}, "a whole number of 1 or more"),
        ({"limits": {"memroy": 1}}, "did you mean 'memory'"),
        ({"cgroup": {"cpu_max": "half"}}, "a number of cores"),
        ({"cgroup": {"cpu_max": float("inf")}}, "a number"),
        ({"cgroup": {"pids_max": True}}, "a whole number"),
        ({"secrets": {"TOKEN": "../../etc/passwd"}}, "the name of a secret"),
        ({"secrets": {"TOKEN": ".."}}, "the name of a secret"),
        ({"secrets": {"A=B": "x"}}, "cannot be the name"),
        ({"secrets": {"APSIS_RUN_ID": "x"}}, "are set by Apsis"),
        ({"secrets": {"A": "x"}, "env": {"A": "y"}}, "stands in `env` too"),
        ({"inherit_env": "PATH"}, "a list of names"),
        ({"inherit_env": ["A=B"]}, "cannot be the name"),
        ({"stdin": "x" * 70_000}, "may have 65536 bytes"),
        ({"stdin": {"path": "/x"}}, "file"),
        ({"success_exit_codes": []}, "no run could ever succeed"),
    ],
)
def test_what_cannot_be_is_refused(keys, words):
    spec, wrong = read(**keys)
    assert spec is None
    assert any(words in each for each in wrong), wrong


def test_a_path_given_as_text_for_input_is_a_warning_and_not_an_error():
    spec, wrong = read(stdin="/data/in.csv")
    assert spec.bind(plain).to_process().stdin == "/data/in.csv"
    assert "{file: /data/in.csv}" in wrong[0]


def test_what_an_expanded_template_makes_is_checked_too():
    spec, _ = read(env_file="{{ file }}")
    with pytest.raises(BindError, match="begins with /"):
        spec.bind(lambda value, key: "relative" if key == "program.env_file" else value)
    spec, _ = read(stdin="{{ text }}")
    with pytest.raises(BindError, match="may have 65536"):
        spec.bind(lambda value, key: "x" * 70_000 if key == "program.stdin" else value)


def test_the_last_line_of_an_expanded_text_keeps_its_end():
    assert process(stdin="a\nb\n").stdin == "a\nb\n"
    assert process(stdin="a\nb").stdin == "a\nb"


def test_a_run_shows_names_of_secrets_and_the_length_of_its_input_only():
    spec, _ = read(secrets={"TOKEN": "db"}, stdin="some text", limits={"memory": 512 << 20}, cgroup={}, umask="077")
    shown = spec.bind(plain).to_json()
    assert (shown["secrets"], shown["stdin"], shown["limits"], shown["cgroup"], shown["umask"]) == (
        {"TOKEN": "db"},
        {"bytes": 9},
        {"memory": "512M"},
        {},
        "077",
    )
    assert "umask" not in read()[0].to_json()


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 512 << 20), ("1.5 GiB", 3 << 29), ("10kb", 10240), (7, 7), ("7B", 7)]
)
def test_a_size_is_read(text, size):
    assert parse_size(text) == size
    assert parse_size(show_size(size)) == size


def test_args_that_would_share_a_variable_are_found():
    assert arg_variable("a-b.c") == "APSIS_ARG_A_B_C"
    assert colliding_params(["a", "b", "A"]) == ("a", "A")
    assert colliding_params(["a.b", "a-b"]) == ("a.b", "a-b")
    assert colliding_params(["a", "b"]) is None
