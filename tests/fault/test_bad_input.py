"""Bad input is answered with a sentence that says where and what to do; everything else goes on."""

import http.client
import json
import re
import shutil
import socket
import time
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from harness.commands import refused, say
from harness.installation import Installation, until

#: a word as one argument of a program, whatever is in it
ECHO = """
params: [word]
program: {type: program, argv: [/bin/echo, "{{ word }}"]}
"""
#: ids that mean something to REST, to a shell, to a URL, to HTML, to a template, to the filter
HOSTILE_IDS = (
    "a/runs",
    "a/pause",
    "ünï/çødé q",
    'it\'s "quoted"',
    "$(touch pwned)",
    "semi;touch pwned",
    "per%cent%2F",
    "hash#q?x=1",
    "<b onmouseover=alert(1)>",
    "{{ word }}",
    "*",
    "-dash",
    "r12",
)
HOSTILE_WORDS = (
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "' \" \\",
    "a\nb",
    "ü€😀",
    "{{ run_id }}",
    "-n",
    "\x1b[31m",
)
BAD_FILES = {
    "unclosed.yaml": ("program: {type: shell\n", 2, 1, "did not find expected ',' or '}'"),
    "type.yaml": ("program:\n  type: shel\n  command: x\n", 2, 9, "did you mean 'shell'"),
    "key.yaml": ("program:\n  type: shell\n  comand: x\n", 3, 3, "did you mean 'command'"),
    "zone.yaml": (
        "program: {type: shell, command: x}\nschedule:\n  type: daily\n  tz: Europe/Zurch\n  daytime: '09:00'\n",
        4,
        7,
        "did you mean 'Europe/Zurich'",
    ),
    "daytime.yaml": (
        "program: {type: shell, command: x}\nschedule:\n  type: daily\n  tz: UTC\n  daytime: '25:00'\n",
        5,
        12,
        "hours are 0-23",
    ),
    "cron.yaml": (
        "program: {type: shell, command: x}\nschedule:\n  type: cron\n  cron: '99 * * * *'\n",
        4,
        9,
        "0-59",
    ),
    "template.yaml": ("program:\n  type: shell\n  command: 'echo {{ x'\n", 3, 12, "end of print statement"),
    "empty.yaml": ("", 1, 1, "at least the key 'program'"),
    "list.yaml": ("- a\n", 1, 1, "expected a mapping"),
    "twice.yaml": ("program: {type: no-op}\nprogram: {type: no-op}\n", 2, 1, "stands there twice"),
    "code.yaml": ("program: !!python/object/apply:os.system ['touch pwned']\n", 1, 10, "is not known here"),
    "itself.yaml": ("program: &a [*a]\n", 1, 10, "contains itself"),
    "deep.yaml": ("program: " + "[" * 5000 + "]" * 5000 + "\n", 1, 109, "levels deep"),
    "bytes.yaml": ("\udcff\udcfe", 1, 1, "not UTF-8"),
}


JOBS = {
    **dict.fromkeys(HOSTILE_IDS, ECHO),
    "good": ECHO,
}


def rest(one: Installation, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    """Make one request, however wrong, and return status and JSON."""
    connection = http.client.HTTPConnection(one.url.removeprefix("http://"), timeout=20)
    token = (one.home / "token").read_text().strip()
    try:
        connection.request(method, path, body, {"Authorization": f"Bearer {token}", **headers})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def alive(one: Installation) -> None:
    """Assert that runs are still made and end."""
    run_id = one.make("good", args={"word": "x"})[0]["run_id"]
    until(lambda: one.run(run_id)["state"] == "success", 10, f"{run_id} to succeed")


# Job files


@pytest.mark.timeout(90)
def test_a_bad_job_file_is_reported_with_file_line_column_and_what_was_expected_while_the_others_load(
    one: Installation,
) -> None:
    folder = one.home / "jobs" / "bad"
    folder.mkdir()
    (folder / "fine.yaml").write_text(ECHO)
    for name, (text, *_) in BAD_FILES.items():
        (folder / name).write_bytes(text.encode(errors="surrogateescape"))
    try:
        reload = say(one.home, "apsisctl", "reload")
        listed = say(one.home, "apsis", "jobs", "-o", "plain", "--columns", "job")
        jobs = one.call("GET", "/jobs")

        assert reload.code == 1, reload
        assert "bad/fine" in {job["job_id"] for job in jobs["jobs"]}
        assert "good" in {job["job_id"] for job in jobs["jobs"]}
        assert {error["file"] for error in jobs["errors"]} == {f"bad/{name}" for name in BAD_FILES}
        for name, (_, line, column, expected) in BAD_FILES.items():
            where = f"bad/{name}:{line}:{column}: "
            told = [text for text in reload.err.splitlines() if text.startswith(where)]
            assert told, (where, reload.err)
            assert any(expected in text for text in told), (expected, told)
            assert any(text.startswith(where) and expected in text for text in listed.err.splitlines()), listed.err
            found = [error for error in jobs["errors"] if error["file"] == f"bad/{name}" and error["line"] == line]
            assert any(error["column"] == column and expected in error["message"] for error in found), found
    finally:
        shutil.rmtree(folder)
        assert say(one.home, "apsisctl", "reload").code == 0
    assert one.call("GET", "/jobs")["errors"] == []


def test_a_job_file_that_becomes_bad_leaves_the_last_good_version_at_work(one: Installation) -> None:
    path = one.home / "jobs" / "good.yaml"
    path.write_text("program: {type: shel}\n")
    try:
        assert say(one.home, "apsisctl", "reload").code == 1
        alive(one)
    finally:
        path.write_text(ECHO)
        assert say(one.home, "apsisctl", "reload").code == 0


def test_what_stands_in_a_job_folder_and_is_no_plain_file_is_reported_and_never_waited_for(
    one: Installation, tmp_path: Path
) -> None:
    import os

    folder = one.home / "jobs" / "odd"
    folder.mkdir()
    os.mkfifo(folder / "pipe.yaml")
    (folder / "out.yaml").symlink_to("/etc/passwd")
    (folder / "loop").symlink_to(folder)
    (folder / "new\nline.yaml").write_text(ECHO)
    try:
        reload = say(one.home, "apsisctl", "reload", timeout=20)
        assert reload.code == 1, reload
        assert "odd/pipe.yaml:1:1: cannot be read: it is no plain file" in reload.err
        assert "odd/out.yaml:1:1: is a link that leads out of the job directory" in reload.err
        assert "root:" not in reload.err
        # each finding is one line, whatever the file's name
        assert all(re.match(r"odd/[^:]*:\d+:\d+: ", line) for line in reload.err.splitlines()), reload.err
    finally:
        shutil.rmtree(folder)
        say(one.home, "apsisctl", "reload")


def test_a_job_folder_that_is_taken_away_leaves_the_jobs_and_says_so(one: Installation) -> None:
    jobs, away = one.home / "jobs", one.home / "jobs.away"
    jobs.rename(away)
    try:
        refused(say(one.home, "apsisctl", "reload"), 6, "the job directory cannot be read", "the jobs are as before")
        alive(one)
        jobs.mkdir()
        refused(say(one.home, "apsisctl", "reload"), 6, "it would remove", "the jobs are as before")
        alive(one)
        jobs.rmdir()
    finally:
        away.rename(jobs)
    assert say(one.home, "apsisctl", "reload").code == 0


@pytest.mark.parametrize(
    "command",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% for i in range(99999) %}{{ 'x' * 100000 }}{% endfor %}",
    ],
    ids=["loops", "macros", "length"],
)
@pytest.mark.timeout(60)
def test_a_template_without_end_is_an_error_of_its_run_and_holds_nobody_up(command: str) -> None:
    """In an installation of its own: a scheduler that hangs is no use to the other tests."""
    with Installation({"good": ECHO}) as own:
        body = {"job": {"program": {"type": "shell", "command": f"echo {command}"}}}
        token = (own.home / "token").read_text().strip()
        connection = http.client.HTTPConnection(own.url.removeprefix("http://"), timeout=3)
        connection.request("POST", "/api/v1/runs", json.dumps(body), {"Authorization": f"Bearer {token}"})
        try:
            answer = json.loads(connection.getresponse().read())
        except TimeoutError:
            answer = {"runs": [{"state": "no answer"}]}
        finally:
            connection.close()
        assert answer.get("error", answer.get("runs", [{}])[0]).get("state", "refused") in {"error", "refused"}
        alive(own)


# Hostile ids and args


@pytest.mark.parametrize("job_id", HOSTILE_IDS)
def test_a_job_id_is_never_shell_code_and_has_its_own_place_in_every_url(one: Installation, job_id: str) -> None:
    path = urllib.parse.quote(job_id, safe="")
    shown = one.call("GET", f"/jobs/{path}")
    assert shown.get("job", shown)["job_id"] == job_id

    made = say(one.home, "apsis", "run", "-o", "ids", "--", job_id, "word=$(touch pwned)")
    assert made.code == 0, made
    run_id = made.out.strip()
    until(lambda: one.run(run_id)["state"] == "success", 10, f"{run_id} to succeed")
    assert one.output(run_id) == b"$(touch pwned)\n"

    page = http.client.HTTPConnection(one.url.removeprefix("http://"), timeout=10)
    page.request("GET", f"/job/{path}")
    answer = page.getresponse()
    assert (answer.status, answer.getheader("Content-Type", "").split(";")[0]) == (200, "text/html")
    assert b"alert(1)" not in answer.read()
    page.close()


@pytest.mark.parametrize("word", HOSTILE_WORDS)
def test_an_arg_reaches_the_program_as_it_was_given_and_stays_in_its_row(one: Installation, word: str) -> None:
    made = say(one.home, "apsis", "run", "good", f"word={word}", "-o", "ids")
    assert made.code == 0, made
    run_id = made.out.strip()
    until(lambda: one.run(run_id)["state"] == "success", 10, f"{run_id} to succeed")
    expected = b"" if word == "-n" else word.encode() + b"\n"
    assert one.output(run_id) == expected
    listed = say(one.home, "apsis", "runs", f"id:{run_id}", "--columns", "id,args")
    assert len(listed.out.splitlines()) == 2, listed
    for said in (listed, say(one.home, "apsis", "show", run_id), say(one.home, "apsis", "wait", run_id)):
        assert "\x1b[31m" not in said.out + said.err, said  # a terminal must not obey what a run was given


# REST

HOSTILE_BODIES: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "half": (b'{"job_id":', 400),
    "null": (b"null", 400),
    "list": (b"[]", 400),
    "no UTF-8": (b'{"job_id": "\xff\xfe"}', 400),
    "number for a job": (b'{"job_id": 1}', 400),
    "NUL in a job": (b'{"job_id": "a\\u0000b"}', 404),
    "half a surrogate": (b'{"job_id": "\\ud800"}', 400),
    "list for args": (b'{"job_id": "good", "args": []}', 400),
    "number for an arg": (b'{"job_id": "good", "args": {"word": 1}}', 400),
    "unknown field": (b'{"job_id": "good", "foo": 1}', 400),
    "negative count": (b'{"job_id": "good", "args": {"word": "x"}, "count": -1}', 400),
    "huge count": (b'{"job_id": "good", "args": {"word": "x"}, "count": 1000000000000000000000000}', 400),
    "float count": (b'{"job_id": "good", "args": {"word": "x"}, "count": 1e300}', 400),
    "no time": (b'{"job_id": "good", "args": {"word": "x"}, "schedule_time": "9999-99-99T00:00:00Z"}', 400),
    "job and job_id": (b'{"job_id": "good", "job": {}}', 400),
    "empty job": (b'{"job": {}}', 422),
    "list for a job": (b'{"job": []}', 400),
    "unknown program": (b'{"job": {"program": {"type": "nope"}}}', 422),
    "empty argv": (b'{"job": {"program": {"type": "program", "argv": []}}}', 422),
    "NUL in argv": (b'{"job": {"program": {"type": "program", "argv": ["/bin/echo", "a\\u0000b"]}}}', 422),
    "deep list": (b"[" * 100_000 + b"]" * 100_000, 400),
    "deep object": (b'{"job": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}", 400),
    "large": (b'{"job_id": "' + b"a" * 2_000_000 + b'"}', 413),
}


@pytest.mark.parametrize(("body", "status"), HOSTILE_BODIES.values(), ids=list(HOSTILE_BODIES))
def test_a_hostile_body_is_answered_with_the_one_shape_of_errors(one: Installation, body: bytes, status: int) -> None:
    before = one.count("")
    found, answer = rest(one, "POST", "/api/v1/runs", body)
    assert found == status, answer
    assert set(answer) == {"error"}
    assert answer["error"]["message"]
    assert answer["error"]["request_id"]
    assert len(json.dumps(answer)) < 5_000
    assert one.count("") == before


def test_a_body_of_50_mb_is_answered_413_before_it_is_read(one: Installation) -> None:
    """Sent by its head alone: the server knows the length from it and must not take the rest."""
    host, port = one.url.removeprefix("http://").split(":")
    token = (one.home / "token").read_text().strip()
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(
            f"POST /api/v1/runs HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Length: 50000000\r\n\r\n".encode()
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/runs/..", 404),
        ("/runs/r1%00", 404),
        ("/runs/%ff", 400),
        ("/runs/r" + "9" * 400, 404),
        ("/jobs/%00", 404),
        ("/jobs/..%2f..%2fetc%2fpasswd", 404),
        ("/jobs/good/nosuch", 404),
        ("/nosuch", 404),
        ("/runs?q=%00", 400),
        ("/runs?limit=x", 400),
        ("/runs?limit=1e9", 400),
        ("/runs?q=a&q=b", 400),
        ("/runs?sort=zz", 400),
        ("/runs?before=zz", 400),
        ("/runs?foo=bar", 400),
        ("/jobs?q=state:failure", 400),
        ("/events?since=-1", 400),
    ],
)
def test_a_hostile_path_is_answered_with_the_one_shape_of_errors(one: Installation, path: str, status: int) -> None:
    found, answer = rest(one, "GET", f"/api/v1{path}")
    assert (found, set(answer)) == (status, {"error"}), answer
    assert answer["error"]["message"]


def test_a_long_filter_is_answered_at_once(one: Installation) -> None:
    for query in ("(" * 5_000, "a " * 2_000, "!" * 5_000, "job:" + "*a" * 2_000, '"' * 5_000, "date=" * 1_000):
        began = time.monotonic()
        status, _ = rest(one, "GET", f"/api/v1/runs?q={urllib.parse.quote(query)}")
        assert status in {200, 400, 413, 414}, query[:20]
        assert time.monotonic() - began < 2, query[:20]


def test_requests_that_are_no_http_hold_nobody_up(one: Installation) -> None:
    host, port = one.url.removeprefix("http://").split(":")
    for noise in (b"\x00" * 1000, b"GARBAGE\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(noise)
            alive(one)
