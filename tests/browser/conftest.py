"""Fixtures: `installation` (a whole one, for all tests of a module), `visitor` (a person who comes to its page)."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))

from visitor import Visitor

from harness.installation import Installation

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

JOBS = {
    "talk/slowly": """
params: [count]
program: 'for i in $(seq {{ count }}); do echo "line $i"; sleep 0.05; done; echo "that was all"'
""",
    "talk/in colour": """
program: |
  printf '\\033[31mred\\033[0m plain <img src=x onerror="window.broken=1">\\n10%%\\r100%%\\n'
""",
    "talk/much": "program: 'seq -f \"number %%.0f\" 1 60000'\n".replace("%%", "%"),
    "nothing": "program: {type: no-op, duration: 0}\n",
    "stay": "program: \"trap '' TERM; echo here; while :; do sleep 0.2; done\"\n",
    "fail": "program: 'echo no; exit 3'\n",
    "greet": """
params:
  name: {default: world}
  tone: {choices: [kind, gruff], default: kind}
program: 'echo hello {{ name }}, {{ tone }}'
metadata: {description: Says hello., labels: [polite]}
""",
}


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    """A whole installation with a few jobs."""
    if not (ROOT / "web/apsis_web/static/index.html").is_file():
        pytest.fail("the page has not been built: (cd web/ui && npm ci && npm run build)")
    with Installation(JOBS) as found:
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium of the distribution."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no Chromium, and under CI nothing is left out")
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def visitor(browser: Browser, installation: Installation) -> Iterator[Visitor]:
    """A person with a fresh browser; at the end neither it nor the page may have had anything to complain of."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, timezone_id="UTC", locale="en-GB")
    token = (installation.home / "token").read_text().strip()
    visitor = Visitor(context.new_page(), installation.url, token)
    yield visitor
    complaints = visitor.complaints()
    context.close()
    assert complaints == []
