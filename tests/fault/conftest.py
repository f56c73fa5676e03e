"""Fixtures: `installation` (a whole one, with the job `work`), `ledger` (who was started, as programs wrote it).

`one` is an installation that the tests of a module share.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.commands import say
from harness.installation import Installation
from harness.integrity import database_is_whole
from harness.work import WORK, Ledger

#: the job `good` of each `home`
GOOD = 'params: [word]\nprogram: {type: program, argv: [/bin/echo, "{{ word }}"]}\n'


@pytest.fixture
def installation() -> Iterator[Installation]:
    """A whole installation with the job `work`."""
    with Installation({"work": WORK}) as found:
        yield found
        database_is_whole(found.home)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Where the programs of this test write down that they were started."""
    return Ledger(tmp_path / "ledger")


@pytest.fixture(scope="module")
def home_of_all(request: pytest.FixtureRequest) -> Iterator[Installation]:
    """One installation for a whole module, with the module's `JOBS`."""
    with Installation(request.module.JOBS) as found:
        yield found


@pytest.fixture
def one(home_of_all: Installation) -> Iterator[Installation]:
    """The installation; no test may make it log a traceback or lose a service."""
    logs = {path: path.stat().st_size for path in (home_of_all.home / "log").iterdir()}
    pids = {entry["name"]: entry["pid"] for entry in home_of_all.status()["services"]}
    yield home_of_all
    for path, size in logs.items():
        assert b"Traceback" not in path.read_bytes()[size:], path
    assert {entry["name"]: entry["pid"] for entry in home_of_all.status()["services"]} == pids
    assert not list(home_of_all.home.rglob("pwned"))
    assert not Path("/pwned").exists()
    database_is_whole(home_of_all.home)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home in which nothing runs; whatever a test starts in it is stopped."""
    root = tmp_path / "home"
    assert say(root, "apsisctl", "init").code == 0
    (root / "jobs" / "good.yaml").write_text(GOOD)
    yield root
    say(root, "apsisctl", "stop", "--kill-runs")
