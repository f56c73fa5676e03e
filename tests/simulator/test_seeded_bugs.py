"""Each bug of `simulated/bugs.py` is put in, and the simulator must find it; tests/README.md has the table."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from simulated.bugs import BUGS, put_in
from simulated.play import play

#: seeds that are played at most until a bug is found; all of them are kept without it
SEEDS = 600
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_that_is_put_in_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bug = BUGS[name]
    put_in(monkeypatch, bug)

    for seed in range(bug.first, bug.first + SEEDS):
        broken = play(seed, bugs=bug.flags).broken
        if broken:
            found = {line.partition(":")[0] for line in broken.splitlines()}
            assert found & set(bug.promises), f"seed {seed} finds it otherwise: {broken}"
            return
    pytest.fail(f"{SEEDS} seeds do not find it: {name}")


#: bugs below what is simulated: (file, what stands there, what is to stand there, the test that must fail)
BELOW = {
    "a process is known by its pid alone": (
        "services/apsis_services/supervisor/zygote/identity.py",
        "if start_ticks(pid) == ticks:",
        "if True:",
        "tests/unit/journal/test_identity.py::test_only_the_very_process_is_signalled",
    ),
    "a program is reaped before its end is written": (
        "services/apsis_services/supervisor/zygote/linux.py",
        "options = os.WEXITED | os.WNOHANG | os.WNOWAIT",
        "options = os.WEXITED | os.WNOHANG",
        "tests/unit/journal/test_identity.py::test_how_a_child_ended_is_seen_without_reaping_it",
    ),
    "an archived run is claimed again": (
        "services/apsis_services/supervisor/zygote/journal_file.py",
        " or os.access(archive_path(spool, journal, run_id), os.F_OK)",
        "",
        "tests/unit/journal/test_journal.py::test_an_archived_run_is_claimed_for_ever",
    ),
    "a start is claimed in whatever spool is there": (
        "services/apsis_services/supervisor/zygote/journal_file.py",
        "if found != epoch.encode():",
        "if False:",
        "tests/unit/journal/test_claims_of_a_spool.py::test_a_start_that_was_ordered_for_another_spool_is_not_claimed",
    ),
    "a run that has not begun is given the end that its host reports": (
        "apsis/runs/core/reports.py",
        "if row is None or row.run.state in BEFORE:",
        "if row is None:",
        "tests/unit/runs/test_core_restore_kills.py::"
        "test_a_report_of_the_lost_time_does_not_end_a_run_that_has_not_begun_and_may_be_another",
    ),
}


@pytest.mark.parametrize("name", BELOW)
def test_a_bug_below_what_is_simulated_is_found_by_a_test(name: str, tmp_path: Path) -> None:
    """The test is run against a copy of the sources that has the bug, and must fail; without it it passes there."""
    where, old, new, test = BELOW[name]
    for folder in ("apsis", "bus", "services"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests/conftest.py", tmp_path / "tests")
    room = Path(test.partition("::")[0]).parent
    shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    assert _run(test, tmp_path) == 0
    source = tmp_path / where
    text = source.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{where} says {old!r} {text.count(old)} times: the bug is to be put in elsewhere"
    source.write_text(text.replace(old, new), encoding="utf-8")

    assert _run(test, tmp_path) == 1


def _run(test: str, folder: Path) -> int:
    paths = os.pathsep.join(str(folder / part) for part in (".", "bus", "services"))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", test]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, timeout=100
    )
    assert done.returncode in (0, 1), done.stdout.decode()
    return done.returncode


def test_the_table_of_bugs_names_each() -> None:
    table = (ROOT / "tests/README.md").read_text(encoding="utf-8")

    assert [name for name in (*BUGS, *BELOW) if f"| {name} |" not in table] == []
