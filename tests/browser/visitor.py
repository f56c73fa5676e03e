"""A person at the page: a real Chromium that notes every complaint of the browser and every request."""

import re
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, expect

#: milliseconds that anything on the page may take
PATIENCE = 10_000


class Visitor:
    """One page of a browser, on one installation."""

    def __init__(self, page: Page, url: str, token: str) -> None:
        self.page = page
        self.url = url
        self._token = token
        self._complaints: list[str] = []
        self._foreign: list[str] = []
        self._expected: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self._complaints.append(f"error: {error}"))
        page.on("request", self._asked)

    def expects_complaint(self, pattern: str) -> None:
        """Say that the browser will complain, rightly: a server that is away is an error to it."""
        self._expected.append(pattern)

    def complaints(self) -> list[str]:
        """Return what the browser complained of, but for what was expected, and requests to other hosts."""
        unexpected = [one for one in self._complaints if not any(re.search(p, one) for p in self._expected)]
        return unexpected + [f"request to another host: {one}" for one in self._foreign]

    def open(self, path: str) -> None:
        """Load a page."""
        self.page.goto(self.url + path)

    def log_in(self, token: str | None = None) -> None:
        """Enter a token: the right one if none is given."""
        self.page.get_by_label("Token", exact=True).fill(self._token if token is None else token)
        self.page.get_by_role("button", name="Log in").click()

    def enter(self, path: str = "/runs") -> None:
        """Log in and be on a page, connected."""
        self.open(path)
        self.log_in()
        self.connected()

    def connected(self) -> None:
        """Wait until the page is live."""
        expect(self.page.locator(".connection")).to_have_attribute("data-state", "live", timeout=PATIENCE)

    def go(self, path: str) -> None:
        """Follow a link of the header: nothing is loaded anew."""
        self.page.locator(f'nav[aria-label="Pages"] a[href="{path}"]').click()

    def filter(self, text: str) -> None:
        """Type a filter, key by key."""
        field = self.page.get_by_role("textbox", name="Filter runs")
        field.fill("")
        field.press_sequentially(text)

    def row(self, run_id: str) -> Locator:
        """Return the row of a run in the list."""
        return self.page.locator(f'.grid-row[data-run="{run_id}"]')

    def choose(self, run_id: str, action: str) -> None:
        """Open the menu of a run in the list, and take an entry."""
        self.page.get_by_role("button", name=f"Actions of {run_id}", exact=True).click()
        self.page.get_by_role("menuitem", name=action).click()

    def mark(self) -> None:
        """Leave something in the page that a reload would take away."""
        self.page.evaluate("window.marker = 'still here'")

    def is_marked(self) -> bool:
        """Tell whether the page has not been loaded anew since `mark`."""
        return bool(self.page.evaluate("window.marker === 'still here'"))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._complaints.append(f"{message.type}: {message.text} {message.location.get('url', '')}")

    def _asked(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self._foreign.append(request.url)
