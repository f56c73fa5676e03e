"""A list of runs that stays true: a table redrawn in place, a line for each change, or NDJSON."""

import contextlib
import json
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from apsis.cli.forms import Column, chosen_columns, make_table, one_line
from apsis.cli.tables import RUNS, run_columns
from apsis.cli.terminal import has_color
from apsis.cli.words import utc_now
from apsis.errors import ApsisError

if TYPE_CHECKING:
    from apsis.client import Client

Json = dict[str, Any]

#: seconds between two looks at the list, at least; and at most, as times go on by themselves
_LEAST: Final = 0.25
_MOST: Final = 1.0
#: lines of the screen that are no rows
_FRAME: Final = 4
_PIPED: Final = 200


def watch(client: "Client", q: str, limit: int | None, form: str, columns: Sequence[str]) -> None:
    """Show the runs that match until Ctrl-C."""
    runs = _Runs(client, q)
    with contextlib.suppress(KeyboardInterrupt):
        if form in ("table", "wide") and sys.stdout.isatty():
            _redraw(client, runs, limit, columns)
        else:
            _tell(runs, limit or _PIPED, form, columns)


class _Runs:
    """The window of the list; a thread hears the events, and each says only that it is time to look again."""

    def __init__(self, client: "Client", q: str) -> None:
        self._client = client
        self._q = q
        self._news = threading.Event()
        self._failure: ApsisError | None = None
        self._looked = 0.0
        self.last: Json = {}

    def look(self, limit: int) -> Json:
        """Return the window now; the first time, begin to listen from there."""
        self._looked = time.monotonic()
        first = not self.last
        self.last = self._client.runs(self._q, limit=limit)
        if first:
            threading.Thread(target=self._listen, args=(self.last["seq"],), daemon=True).start()
        return self.last

    def wait(self, longest: float | None) -> bool:
        """Wait for news, and long enough since the last look; say whether there are any.

        Raises:
            ApsisError: the server is gone for good.
        """
        heard = self._news.wait(longest)
        time.sleep(max(0.0, self._looked + _LEAST - time.monotonic()))
        self._news.clear()
        if self._failure:
            raise self._failure
        return heard

    def _listen(self, since: int) -> None:
        try:
            for _ in self._client.events(since):
                self._news.set()
        except ApsisError as error:
            self._failure = error
            self._news.set()


def _redraw(client: "Client", runs: _Runs, limit: int | None, columns: Sequence[str]) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(no_color=not has_color(sys.stdout), highlight=False)
    with Live(console=console, auto_refresh=False, screen=False, vertical_overflow="crop") as live:
        while True:
            rows = max(3, shutil.get_terminal_size().lines - _FRAME)
            window = runs.look(min(limit or rows, rows))
            live.update(_screen(client.url, window, columns, console.width), refresh=True)
            runs.wait(_MOST)


def _screen(url: str, window: Json, columns: Sequence[str], width: int) -> Any:
    from rich.console import Group
    from rich.text import Text

    now = utc_now()
    picked = chosen_columns(run_columns(now, plain=False), ",".join(columns), RUNS)
    head = f"apsis {url}  {now:%H:%M:%S} UTC  {len(window['runs'])} of {window['total']} runs  (Ctrl-C ends)"
    return Group(Text(head, style="bold"), make_table(window["runs"], picked, width))


def _tell(runs: _Runs, limit: int, form: str, columns: Sequence[str]) -> None:
    """Print each change between two windows."""
    picked = chosen_columns(run_columns(utc_now(), plain=True), ",".join(columns), RUNS)
    known: dict[str, Json] = {}
    for run in runs.look(limit)["runs"]:
        known[run["run_id"]] = run
        _print("snapshot", run, form, picked)
    if form in ("json", "ndjson"):
        click.echo(json.dumps({"event": "sync", "seq": runs.last["seq"]}))
    while True:
        _flush()
        runs.wait(None)
        fresh = {run["run_id"]: run for run in runs.look(limit)["runs"]}
        for run_id, run in fresh.items():
            if run_id not in known:
                _print("added", run, form, picked)
            elif run.get("rev") != known[run_id].get("rev"):
                _print("changed", run, form, picked)
        for run_id in known.keys() - fresh.keys():
            _print("removed", known[run_id], form, picked)
        known = fresh


def _print(event: str, run: Json, form: str, columns: Sequence[Column]) -> None:
    if form in ("json", "ndjson"):
        click.echo(json.dumps({"event": event, "run": run}))
    elif form == "ids":
        click.echo(run["run_id"])
    elif event != "removed":
        click.echo("\t".join(one_line(column.cell(run)) for column in columns))


def _flush() -> None:
    sys.stdout.flush()
