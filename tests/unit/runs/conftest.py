"""Fixtures: `world`, a core with tables in memory, a clock of its own and hosts that obey (`runs_stage`)."""

import sys
from pathlib import Path

import pytest

# test folders are no packages; what the tests share lies beside them
sys.path.insert(0, str(Path(__file__).parent))

from runs_stage import World


@pytest.fixture
def world() -> World:
    return World()
