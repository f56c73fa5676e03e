"""A failpoint does what its file says, once, and nothing where no test asks."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

REACH = "from apsis.failpoints import reach; reach('here.now'); print('passed')"


def reach(folder: Path | None) -> subprocess.CompletedProcess[str]:
    """Have a process of its own reach the point."""
    plain = {key: value for key, value in os.environ.items() if key != "APSIS_FAILPOINTS"}
    environment = plain if folder is None else {**plain, "APSIS_FAILPOINTS": str(folder)}
    return subprocess.run([sys.executable, "-c", REACH], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("armed", [False, True])
def test_without_the_variable_a_point_does_nothing(tmp_path: Path, armed: bool) -> None:
    if armed:
        (tmp_path / "here.now").write_text("kill")

    assert reach(None).stdout == "passed\n"


def test_an_armed_point_kills_once(tmp_path: Path) -> None:
    (tmp_path / "here.now").write_text("kill\n")

    assert reach(tmp_path).returncode == -signal.SIGKILL
    assert reach(tmp_path).stdout == "passed\n"
    assert list(tmp_path.iterdir()) == []


def test_a_word_that_is_none_of_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "here.now").write_text("explode")

    assert "'explode' is none of kill, stop, sleep SECONDS" in reach(tmp_path).stderr


def test_who_reached_a_point_is_left_where_a_test_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "here.now").write_text("kill\n")
    (tmp_path / "reached").mkdir()

    assert reach(tmp_path).returncode == -signal.SIGKILL
    assert reach(tmp_path).stdout == "passed\n"
    (left,) = (tmp_path / "reached").iterdir()
    assert left.name.rpartition(".")[0] == "here.now"
    assert left.name.rpartition(".")[2].isdigit()
    assert not (tmp_path / "here.now").exists()
