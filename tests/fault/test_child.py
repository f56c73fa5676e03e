"""What a program finds around itself when a whole installation starts it; and what becomes of secrets."""

import json
import os
import signal
import sqlite3
import urllib.error

import pytest

from harness.installation import Installation, until

SECRET = "s3cr3t-of-this-test"
SHOW = """
grep -E '^Sig(Blk|Ign|Pnd):|^Groups:' /proc/self/status
for n in $(seq 0 30); do [ -e /proc/$$/fd/$n ] && fds="$fds $n"; done; echo fds $fds
echo ids $(cut -d' ' -f5,6 /proc/$$/stat) $$
echo tty $(cut -d' ' -f7 /proc/$$/stat) $( (: < /dev/tty) 2>/dev/null && echo open || echo none)
echo umask $(umask)
echo nice $(nice)
echo cwd $(pwd)
echo in $(readlink /proc/$$/fd/0)
echo out $(readlink /proc/$$/fd/1) $(readlink /proc/$$/fd/2)
yes | head -1
"""
PLAIN = "program:\n  type: program\n  argv: [/bin/sh, -c, {script}]\n{more}"


def job(script: str, more: str = "") -> str:
    return PLAIN.format(script=json.dumps(script), more=more)


JOBS = {
    "plain": job(SHOW),
    # the slow way, by a fork of the shim
    "forked": job(SHOW, "  nice: 4\n  umask: '077'\n  cwd: /tmp\n  limits: {open_files: 200}\n"),
    "secret": job(
        'echo ${#TOKEN} $FROM_FILE; test "$TOKEN" = ' + SECRET[:6] + '"${TOKEN#' + SECRET[:6] + '}" && echo same',
        "  secrets: {TOKEN: the-token}\n  env: {OWN: " + SECRET[::-1] + "}\n",
    ),
    "login": "program: {type: shell, command: 'shopt -q login_shell && echo login', login: true}\n",
    "input": job("cat", '  stdin: "{{ run_id }}\\nline two\\n"\n'),
    "codes": job("exit 3", "  success_exit_codes: [0, 3]\n"),
    "inherit": job("echo $APSIS_TEST_A-$TEST_A-$TEST_B", "  inherit_env: [TEST_A]\n"),
    "cpu": job("while :; do :; done", "  limits: {cpu: 1}\n"),
}


@pytest.fixture(scope="module")
def place():
    """An installation that was started with SIGCHLD ignored, inherited descriptors and a strange mask."""
    installation = Installation(JOBS)
    mask = os.umask(0o077)
    before = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP)
    }
    os.environ["TEST_A"], os.environ["TEST_B"] = "a", "b"
    try:
        secrets = installation.home / "keys" / "secrets"
        with installation:
            secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
            (secrets / "the-token").write_text(SECRET + "\n")
            (secrets / "the-token").chmod(0o600)
            yield installation
    finally:
        for number, action in before.items():
            signal.signal(number, action)
        os.umask(mask)
        del os.environ["TEST_A"], os.environ["TEST_B"]


def ran(place: Installation, job_id: str) -> tuple[dict, list[str]]:
    run_id = place.make(job_id)[0]["run_id"]
    until(lambda: place.run(run_id)["state"] in ("success", "failure", "error"), 30, f"the end of {job_id}")
    run = place.run(run_id)
    return run, printed(place, run_id, (run["outputs"] or {}).get("output", 0)).decode().splitlines()


def printed(place: Installation, run_id: str, length: int) -> bytes:
    """Return a run's whole output; the store may get it a moment after the end is known."""
    found = b""

    def whole() -> bool:
        nonlocal found
        try:
            found = place.output(run_id)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
        return len(found) >= length

    if length:
        until(whole, 20, f"{length} bytes of output of {run_id}")
    return found


@pytest.mark.parametrize(
    ("job_id", "umask", "nice", "cwd"), [("plain", "0022", "0", "/"), ("forked", "0077", "4", "/tmp")]
)
def test_a_program_begins_with_a_clean_slate_whoever_started_apsis(place, job_id, umask, nice, cwd):
    run, lines = ran(place, job_id)
    assert run["state"] == "success", run
    found = {line.split()[0].rstrip(":"): line.split()[1:] for line in lines}
    for name in ("SigBlk", "SigPnd"):
        assert int(found[name][0], 16) == 0, name
    assert int(found["SigIgn"][0], 16) & ~(3 << 31) == 0, "32 and 33 are glibc's own"
    assert found["fds"] == ["0", "1", "2"]
    assert len(set(found["ids"])) == 1
    assert found["tty"] == ["0", "none"]
    assert (found["umask"], found["nice"], found["cwd"]) == ([umask], [nice], [cwd])
    assert found["in"] == ["/dev/null"]
    assert found["out"][0] == found["out"][1]
    assert found["out"][0].startswith(str(place.home / "spool"))
    assert lines[-1] == "y", "a leaked, ignored SIGPIPE would let `yes` complain"


def test_a_secret_reaches_the_program_and_nothing_else(place):
    run, lines = ran(place, "secret")
    assert (run["state"], lines) == ("success", [str(len(SECRET)), "same"])
    assert run["program"]["secrets"] == {"TOKEN": "the-token"}
    assert run["program"]["env"] == ["OWN"]
    connection = sqlite3.connect(place.home / "db" / "apsis.db")
    dump = "\n".join(connection.iterdump())
    connection.close()
    assert SECRET not in dump
    mine = place.home / "keys" / "secrets" / "the-token"
    for path in place.home.rglob("*"):
        if path.is_file() and path != mine:
            assert SECRET.encode() not in path.read_bytes(), path


def test_the_other_keys_do_what_they_say(place):
    assert ran(place, "login")[1] == ["login"]
    run, lines = ran(place, "input")
    assert lines == [run["run_id"], "line two"]
    assert ran(place, "codes")[0]["state"] == "success"
    assert ran(place, "inherit")[1] == ["-a-"]
    run, _ = ran(place, "cpu")
    assert (run["state"], run["exit"]["killed_by"]) == ("failure", "limits.cpu 1s")


def test_a_secret_that_others_could_read_is_not_given(place):
    token = place.home / "keys" / "secrets" / "the-token"
    token.chmod(0o644)
    try:
        run, lines = ran(place, "secret")
    finally:
        token.chmod(0o600)
    assert (run["state"], lines) == ("error", [])
    assert "is open to others" in run["reason"]
    assert "chmod 600" in run["reason"]
