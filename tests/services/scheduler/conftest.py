"""Fixtures: `stage`, a home with a real hub and a real scheduler, neither started yet."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# test folders are no packages; what the tests share lies beside them
sys.path.insert(0, str(Path(__file__).parent))

from scheduler_stage import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    folder = Path(tempfile.mkdtemp(prefix="apsis-scheduler-"))
    found = Stage(folder)
    yield found
    found.close()
    shutil.rmtree(folder)
