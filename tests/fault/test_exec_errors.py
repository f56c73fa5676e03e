"""What cannot be started is an error, and each reason is told apart: through one installation, one job each."""

import os
import tempfile
from pathlib import Path

import pytest

from harness.installation import until

FOLDER = Path(tempfile.gettempdir()) / f"apsis-exec-errors-{os.getpid()}"
#: job: its program, and the words of the reason that its run must have
CASES = {
    "missing": ("[/no/such/program]", "program '/no/such/program' does not exist"),
    "not-in-path": ("[apsis-no-such-program]", "was not found in PATH"),
    "not-a-folder": ("[/etc/passwd/x]", "a part of its path is not a folder"),
    "folder": ("[/etc]", "is a folder, not a program"),
    "not-executable": (f"[{FOLDER}/plain]", "is not executable (mode 0644): chmod +x it"),
    "no-interpreter": (f"[{FOLDER}/script]", "needs the interpreter '/no/such/sh', which does not exist"),
    "windows": (f"[{FOLDER}/dos]", "it has Windows line ends"),
    "no-format": (f"[{FOLDER}/data]", "must begin with a line like #!/bin/sh"),
    "too-long": ("[echo, \"{{ 'x' * 131072 }}\"]", "the kernel takes 131071"),
    "too-much": ("[echo, \"{{ 'x' * 131000 }}\"" + ", \"{{ 'x' * 131000 }}\"" * 4 + "]", "may have 524288"),
    "cwd-missing": ("[true], cwd: /no/such/folder", "working directory '/no/such/folder' does not exist"),
    "cwd-file": ("[true], cwd: /etc/passwd", "working directory '/etc/passwd' is not a directory"),
    "user": ("[true], user: apsis-no-such-user", "there is no user 'apsis-no-such-user' on this host"),
    "group": ("[true], group: apsis-no-such-group", "there is no group 'apsis-no-such-group' on this host"),
    "memory": ("[/bin/true], limits: {memory: 64K}", "limits.memory 65536"),
    "stdin": ("[cat], stdin: {file: /no/such/file}", "stdin: file '/no/such/file' does not exist"),
    "env-file": ("[true], env_file: /no/such/file", "env_file cannot be read: /no/such/file: No such file"),
    "env-file-line": (f"[true], env_file: {FOLDER}/env", f"env_file {FOLDER}/env:2: expected NAME=value"),
    "secret": ("[true], secrets: {TOKEN: none-such}", "this host has no secret 'none-such'"),
}
#: what can go wrong for one who is not root only, or for root only
AS_USER = {
    "other-user": ("[true], user: root", "cannot become user 'root': only root may"),
    "first": ("[true], nice: -5", "nice -5: only root may put a program before others"),
}
AS_ROOT = {
    "cwd-closed": (f"[true], user: nobody, cwd: {FOLDER}/closed", "cannot be entered: Permission denied"),
    "closed": (f"[{FOLDER}/closed/x], user: nobody", "cannot be reached: Permission denied"),
    "stdin-closed": (
        f"[cat], user: nobody, stdin: {{file: {FOLDER}/closed/x}}",
        "cannot be read: Permission denied",
    ),
}
CASES |= AS_ROOT if os.geteuid() == 0 else AS_USER
JOBS = {name: f"program: {{type: program, argv: {words}}}\n" for name, (words, _) in CASES.items()}


@pytest.fixture(scope="module", autouse=True)
def files():
    """What the jobs name."""
    FOLDER.mkdir(mode=0o755)
    texts = {"plain": "#!/bin/sh\n", "script": "#!/no/such/sh -e\n", "dos": "#!/bin/sh\r\n", "data": "hello\n"}
    for name, text in texts.items():
        (FOLDER / name).write_text(text)
        (FOLDER / name).chmod(0o644 if name == "plain" else 0o755)
    (FOLDER / "env").write_text("A=1\nB\n")
    (FOLDER / "closed").mkdir(mode=0o700)
    (FOLDER / "closed" / "x").write_text("#!/bin/sh\n")
    yield
    (FOLDER / "closed" / "x").unlink()
    (FOLDER / "closed").rmdir()
    for path in FOLDER.iterdir():
        path.unlink()
    FOLDER.rmdir()


def test_each_reason_why_a_program_cannot_start_is_the_reason_of_its_run(one):
    made = {name: one.make(name)[0]["run_id"] for name in CASES}
    until(
        lambda: all(one.run(run_id)["state"] in ("error", "failure", "success") for run_id in made.values()), 60, "ends"
    )
    wrong = []
    for name, run_id in made.items():
        run = one.run(run_id)
        ends_in_failure = name == "memory"  # the kernel kills it when there is no way back: that is told as a signal
        if (
            run["state"] not in ("error", *(["failure"] if ends_in_failure else []))
            or CASES[name][1] not in run["reason"]
        ):
            wrong.append((name, run["state"], run["reason"]))
        elif run["pid"] is not None or (run["exit"] or {}).get("code") is not None:
            wrong.append((name, "has run", run))
    assert wrong == []
