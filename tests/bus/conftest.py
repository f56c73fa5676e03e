"""Fixtures of the bus tests: `home` (an empty installation's folder), `hub` (a real hub process in it)."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# test folders are no packages; what the tests share lies beside them
sys.path.insert(0, str(Path(__file__).parent))

from bus_stage import HubProcess

from apsis.home import Home


@pytest.fixture
def home() -> Iterator[Home]:
    folder = tempfile.mkdtemp(prefix="apsis-bus-")
    yield Home(Path(folder))
    shutil.rmtree(folder)


@pytest.fixture
def hub(home: Home) -> Iterator[HubProcess]:
    process = HubProcess(home)
    process.start()
    yield process
    process.close()
