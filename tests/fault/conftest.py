"""Fixtures: `installation` (a whole one, with the job `work`), `ledger` (who was started, as programs wrote it)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.installation import Installation
from harness.work import WORK, Ledger


@pytest.fixture
def installation() -> Iterator[Installation]:
    """A whole installation with the job `work`."""
    with Installation({"work": WORK}) as found:
        yield found


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Where the programs of this test write down that they were started."""
    return Ledger(tmp_path / "ledger")
