"""A program's environment is clean, names its run, and fits."""

import pwd

import pytest

from apsis.messages.dispatch import Process
from apsis_services.supervisor.environment import TooLarge, arg_variable, check_sizes, child_environment, user_entry

OURS = {"PATH": "/opt/bin:/bin", "SECRET": "s", "TZ": "Europe/Zurich", "HOME": "/elsewhere"}


def test_little_of_ours_is_passed_on(start):
    found = child_environment(start(1), "e1", OURS, user_entry(None))
    assert "SECRET" not in found
    assert (found["PATH"], found["TZ"]) == ("/opt/bin:/bin", "Europe/Zurich")
    assert found["HOME"] == pwd.getpwuid(__import__("os").getuid()).pw_dir


def test_the_base_is_that_of_the_user_it_runs_as(start):
    found = child_environment(start(1), "e1", OURS, user_entry("nobody"))
    assert (found["USER"], found["LOGNAME"]) == ("nobody", "nobody")


def test_a_user_that_does_not_exist_is_left_to_the_step_that_needs_it(start):
    assert user_entry("no-such-user") is None
    assert "USER" not in child_environment(start(1), "e1", OURS, None)


def test_the_job_sets_and_unsets_but_never_the_tag(start):
    process = Process(argv=["x"], env={"TZ": None, "A": "1", "APSIS_RUN_ID": "r9", "APSIS_SPOOL": None})
    found = child_environment(start(1, process=process), "e1", OURS, None)
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
