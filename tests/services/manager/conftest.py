"""Whole installations, made and started by the commands that people use.

installation   a home; `start()` starts it on a free port; afterwards it is stopped with all its runs
"""

import sys
from pathlib import Path

import pytest

# test folders are no packages; what the tests share lies beside them
sys.path.insert(0, str(Path(__file__).parent))

from installation_stage import Installation, processes_of, until

from apsis.manager_socket import holder


@pytest.fixture
def installation(tmp_path):
    installation = Installation(tmp_path / "home")
    installation.good("apsisctl", "init")
    yield installation
    installation.stop_everything()
    until(lambda: not processes_of(installation.home) or None, 10)
    assert holder(installation.home, "manager") is None
