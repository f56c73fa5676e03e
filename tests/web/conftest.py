"""Fixtures of the web tests: `stage` (a home with nothing running), `site` (hub, a scheduler's side, and web)."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# test folders are no packages; what the tests share lies beside them
sys.path.insert(0, str(Path(__file__).parent))

from web_stage import TOKEN, Stage

from apsis.home import Home


@pytest.fixture
def stage() -> Iterator[Stage]:
    home = Home(Path(tempfile.mkdtemp(prefix="apsis-web-")))
    home.config.write_text("web: {port: 0}\n")
    home.token.write_text(TOKEN + "\n")
    for folder in (home.log, home.run, home.jobs):
        folder.mkdir()
    found = Stage(home)
    yield found
    found.close()
    shutil.rmtree(home.root)


@pytest.fixture
def site(stage: Stage) -> Stage:
    return stage.start()
