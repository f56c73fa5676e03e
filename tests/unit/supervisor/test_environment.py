"""A program's environment is clean, names its run, and fits."""

import pwd

import pytest

from apsis.messages.dispatch import Process
from apsis.programs.variables import arg_variable
from apsis_services.supervisor.starting.environment import TooLarge, check_sizes, child_environment, user_entry

OURS = {"PATH": "/opt/bin:/bin", "SECRET": "s", "TZ": "Europe/Zurich", "HOME": "/elsewhere"}


def test_little_of_ours_is_passed_on(start):
    found = child_environment(start(1), "e1", 7, OURS, user_entry(None))
    assert "SECRET" not in found
    assert (found["PATH"], found["TZ"]) == ("/opt/bin:/bin", "Europe/Zurich")
    assert found["HOME"] == pwd.getpwuid(__import__("os").getuid()).pw_dir


def test_the_base_is_that_of_the_user_it_runs_as(start):
    found = child_environment(start(1), "e1", 7, OURS, user_entry("nobody"))
    assert (found["USER"], found["LOGNAME"]) == ("nobody", "nobody")


def test_a_user_that_does_not_exist_is_left_to_the_step_that_needs_it(start):
    assert user_entry("no-such-user") is None
    assert "USER" not in child_environment(start(1), "e1", 7, OURS, None)


def test_the_job_sets_and_unsets_but_never_the_tag(start):
    process = Process(argv=["x"], env={"TZ": None, "A": "1", "APSIS_RUN_ID": "r9", "APSIS_SPOOL": None})
    found = child_environment(start(1, process=process), "e1", 7, OURS, None)
    assert "TZ" not in found
    assert (found["A"], found["APSIS_RUN_ID"], found["APSIS_SPOOL"]) == ("1", "r1", "e1")


@pytest.mark.parametrize(("name", "variable"), [("date", "APSIS_ARG_DATE"), ("a-b.c", "APSIS_ARG_A_B_C")])
def test_an_arg_has_a_variable(name, variable):
    assert arg_variable(name) == variable


@pytest.mark.parametrize(
    ("args", "argv", "env", "what"),
    [
        ({"a": "x" * 65536}, ["p"], {}, "args"),
        ({}, ["p", "x" * 131072], {}, "argument 1"),
        ({}, ["p"], {"BIG": "x" * 131072}, "variable BIG"),
        ({}, ["p", *["x" * 100_000] * 6], {}, "command line and environment"),
    ],
)
def test_what_is_too_large_is_named(args, argv, env, what):
    with pytest.raises(TooLarge, match=what):
        check_sizes(args, argv, env)


def test_what_fits_passes_and_bytes_are_counted_not_letters():
    check_sizes({"a": "x" * 65535}, ["p", "x" * 131071], {})
    with pytest.raises(TooLarge):
        check_sizes({"a": "ä" * 40000}, ["p"], {})


def test_what_is_inherited_is_what_was_asked_for_and_never_what_speaks_of_us(start):
    ours = OURS | {"NOTIFY_SOCKET": "/run/x", "APSIS_FAILPOINTS": "y", "LANG": "de"}

    def given(wanted):
        process = Process(argv=["x"], inherit_env=wanted, env={"LANG": None})
        return child_environment(start(1, process=process), "e1", 7, ours, user_entry("nobody"))

    assert "SECRET" not in given(False)
    everything = given(True)
    assert (everything["SECRET"], everything["HOME"]) == ("s", pwd.getpwnam("nobody").pw_dir)
    assert everything.keys().isdisjoint({"NOTIFY_SOCKET", "APSIS_FAILPOINTS", "LANG"})
    assert given(["SECRET", "NOT_THERE", "NOTIFY_SOCKET"])["SECRET"] == "s"
    assert given(["NOT_THERE", "NOTIFY_SOCKET"]).keys().isdisjoint({"NOT_THERE", "NOTIFY_SOCKET", "SECRET"})


def test_later_sources_win_over_earlier_ones_and_nothing_over_the_tag(start):
    process = Process(argv=["x"], env={"A": "env", "B": "env"}, inherit_env=["A"])
    found = child_environment(
        start(1, process=process),
        "e1",
        7,
        {"A": "ours", "PATH": "/bin"},
        None,
        from_file={"A": "file", "B": "file", "C": "file", "PATH": "/file", "APSIS_SPOOL": "forged"},
        secrets={"S": "secret", "APSIS_RUN_ID": "forged"},
    )
    assert (found["A"], found["B"], found["C"], found["S"], found["PATH"]) == ("env", "env", "file", "secret", "/file")
    assert (found["APSIS_RUN_ID"], found["APSIS_SPOOL"], found["APSIS_JOURNAL"]) == ("r1", "e1", "7")
