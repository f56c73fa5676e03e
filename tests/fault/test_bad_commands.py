"""A command line that means nothing is answered with a sentence that says what to do, and a status that says why."""

import pytest

from harness.commands import refused, say
from harness.installation import Installation, until

ECHO = """
params: [word]
program: {type: program, argv: [/bin/echo, "{{ word }}"]}
"""
JOBS = {
    "good": ECHO,
    "two": 'params: [date, region]\nprogram: {type: program, argv: [/bin/echo, "{{ date }}{{ region }}"]}\n',
    "long": "program: {type: program, argv: [sleep, '60']}\n",
}

REFUSALS = {
    "unknown command": (("apsis", "frobnicate"), 2, ("no command 'frobnicate'", "apsis --help")),
    "unknown option": (("apsis", "runs", "--frob"), 2, ("--frob", "apsis runs --help")),
    "unknown job": (("apsis", "run", "nosuch"), 5, ("no job 'nosuch'", "apsis jobs")),
    "misspelt job": (("apsis", "run", "goood"), 5, ("no job 'goood'", "Did you mean: good")),
    "a run for a job": (("apsis", "run", "r99"), 2, ("r99 is a run", "apsis show r99", "apsis rerun r99")),
    "job with a newline": (("apsis", "show", "a\nb"), 5, ("no job 'a\\nb'", "apsis jobs")),
    "job with dots": (("apsis", "show", "../../etc/passwd"), 5, ("no job '../../etc/passwd'",)),
    "empty job": (("apsis", "run", ""), 5, ("no job ''",)),
    "unknown run": (("apsis", "show", "r99999"), 5, ("no run 'r99999'", "apsis runs")),
    "unknown run's output": (("apsis", "output", "r99999"), 5, ("no run 'r99999'",)),
    "unknown run's log": (("apsis", "log", "r99999"), 5, ("no run 'r99999'",)),
    "stop of an unknown run": (("apsis", "stop", "r99999"), 5, ("no run 'r99999'",)),
    "wait for an unknown run": (("apsis", "wait", "r99999"), 5, ("no run", "r99999")),
    "watch of an unknown run": (("apsis", "watch", "r99999"), 5, ("no run", "r99999")),
    "missing param": (
        ("apsis", "run", "two", "date=x"),
        2,
        ("needs param 'region' (got: date)", "Example: apsis run two"),
    ),
    "unknown param": (("apsis", "run", "two", "foo=1"), 2, ("has no param 'foo'", "date, region")),
    "arg without a value": (("apsis", "run", "good", "word"), 2, ("'word' is no arg", "NAME=VAL")),
    "arg given twice": (("apsis", "run", "good", "word=a", "word=b"), 2, ("word",)),
    "unknown state": (("apsis", "runs", "state:faliure"), 2, ("column 7", "'faliure'", "did you mean failure")),
    "unknown key": (("apsis", "runs", "jobb:x"), 2, ("column 1", "'jobb'", "did you mean job")),
    "no time": (("apsis", "run", "good", "word=x", "--at", "notatime"), 2, ("'notatime'", "tomorrow 06:00")),
    "no count": (("apsis", "run", "good", "word=x", "--count", "0"), 2, ("count must be between 1 and 1000",)),
    "no signal": (("apsis", "kill", "r99999", "-s", "FOO"), 2, ("signal", "TERM")),
    "no column": (("apsis", "runs", "--columns", "foo"), 2, ("no column 'foo'", "state")),
    "no form": (("apsis", "runs", "-o", "xml"), 2, ("'xml'", "json")),
    "no range": (("apsis", "output", "r1", "--range", "5-2"), 2, ("5-2", "A-B")),
    "no topic": (("apsis", "help", "foo"), 5, ("no help on 'foo'", "filters")),
    "no server": (
        ("apsis", "--server", "http://127.0.0.1:1", "runs"),
        8,
        ("cannot reach http://127.0.0.1:1", "--server"),
    ),
    "no URL": (("apsis", "--server", "foo", "runs"), 2, ("foo", "http://")),
    "no token file": (("apsis", "--token-file", "/nonexistent", "runs"), 7, ("/nonexistent", "apsisctl token")),
    "unknown command of ctl": (("apsisctl", "frob"), 2, ("no command 'frob'", "apsisctl --help")),
    "unknown service": (("apsisctl", "restart", "nosuch"), 5, ("no service 'nosuch'", "scheduler")),
    "unknown log": (("apsisctl", "logs", "nosuch"), 5, ("no log of 'nosuch'", "scheduler")),
    "no port": (("apsisctl", "start", "--port", "99999"), 2, ("99999", "65535")),
}


@pytest.mark.parametrize(("words", "code", "parts"), REFUSALS.values(), ids=list(REFUSALS))
def test_what_is_not_known_gets_one_line_that_says_what_to_do(
    one: Installation, words: tuple[str, ...], code: int, parts: tuple[str, ...]
) -> None:
    refused(say(one.home, *words, timeout=15), code, *parts)


def test_a_wrong_token_is_refused_with_where_to_find_the_right_one(one: Installation) -> None:
    for token in ("wrong", "ü", " ", "x" * 5000):
        refused(say(one.home, "apsis", "runs", APSIS_TOKEN=token), 7, "token", "apsisctl token")


def test_a_run_that_cannot_be_acted_upon_is_refused_as_its_state_is(one: Installation) -> None:
    run_id = one.make("good", args={"word": "x"})[0]["run_id"]
    until(lambda: one.run(run_id)["state"] == "success", 10, f"{run_id} to succeed")
    for verb in ("start", "skip", "stop", "kill"):
        refused(say(one.home, "apsis", verb, run_id), 6, run_id, "success")


def test_without_arguments_the_commands_show_their_help(one: Installation) -> None:
    for name in ("apsis", "apsisctl"):
        said = say(one.home, name)
        assert (said.out + said.err).startswith(f"Usage: {name} "), said
