"""Fixtures: `world`, a core with a clock and hosts of its own, and with somebody who looks at conditions."""

import sys
from pathlib import Path

import pytest

# test folders are no packages; what the tests share lies beside them, and the stage of the core's tests beside those
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "runs")]

from asked_stage import AskedWorld  # noqa: E402 - found by the path above


@pytest.fixture
def world() -> AskedWorld:
    return AskedWorld()
