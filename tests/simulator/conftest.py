"""`--seed N` plays one seed alone; the simulator itself lies beside the tests, in `simulated`."""

import sys
from pathlib import Path

import pytest

# test folders are no packages; what the tests share lies beside them
sys.path.insert(0, str(Path(__file__).parent))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="play this seed of the simulator, and no other")


@pytest.fixture
def only_seed(request: pytest.FixtureRequest) -> int | None:
    """Return the one seed that is asked for, or None."""
    found: int | None = request.config.getoption("--seed", default=None)
    return found
