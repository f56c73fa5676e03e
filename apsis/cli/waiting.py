"""Waiting for runs to finish, and following what one prints meanwhile."""

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from apsis.cli.edge import ExitCode, TimedOut
from apsis.cli.terminal import has_glyphs, note
from apsis.cli.words import FINISHED, elapsed_cell, state_cell, stream_names, utc_now
from apsis.errors import ApsisError

if TYPE_CHECKING:
    from apsis.client import Client

Json = dict[str, Any]

#: the worst of several decides
_WORST: Final = ("error", "failure", "skipped", "success")
_CODES: Final = {
    "error": ExitCode.ERROR, "failure": ExitCode.FAILURE, "skipped": ExitCode.SKIPPED, "success": ExitCode.OK,
}  # fmt: skip
_NOT_STARTED: Final = frozenset({"new", "scheduled", "waiting"})


def exit_code(runs: Sequence[Json], *, of_program: bool = False) -> int:
    """Return the exit status for finished runs: the worst result's, or the program's own."""
    if of_program and len(runs) == 1 and (runs[0].get("exit") or {}).get("code") is not None:
        return int(runs[0]["exit"]["code"])
    states = [run["state"] for run in runs]
    return next((_CODES[state] for state in _WORST if state in states), ExitCode.OK)


def wait_until_end(
    client: "Client", run_ids: Sequence[str], timeout: float | None, *, any_one: bool = False, quiet: bool = False
) -> list[Json]:
    """Return the runs as they ended; say on stderr how they go.

    Raises:
        TimedOut: they, or with `any_one` all of them, had not finished in time.
    """
    latest: dict[str, Json] = {}
    show = _Progress(quiet=quiet)
    try:
        for run in _until(client, run_ids, timeout):
            latest[run["run_id"]] = run
            show(run)
            if any_one and run["state"] in FINISHED:
                return [run]
    except KeyboardInterrupt:
        show.clear()
        left = [run_id for run_id in run_ids if latest.get(run_id, {}).get("state") not in FINISHED]
        note(f"Stopped watching; the program goes on.  To stop it: apsis stop {' '.join(left)}")
        raise
    finally:
        show.clear()
    return [latest[run_id] for run_id in run_ids]


def follow_until_end(client: "Client", run_id: str, timeout: float | None) -> Json:
    """Print what a run prints, byte by byte as it comes, and return the run as it ended.

    Raises:
        TimedOut: it had not finished in time.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    run: Json = {}
    show = _Progress(quiet=not sys.stderr.isatty())
    try:
        for run in _until(client, [run_id], timeout):
            show(run)
            if run["state"] not in _NOT_STARTED:
                break
        show.clear()
        _print_all(client, run_id, stream_names(run), deadline, timeout)
        left = None if deadline is None else max(0.1, deadline - time.monotonic())
        (ended,) = wait_until_end(client, [run_id], left, quiet=True)
    except KeyboardInterrupt:
        show.clear()
        note(f"\nStopped watching; the program goes on.  To stop it: apsis stop {run_id}")
        raise
    cells = [state_cell(ended, glyphs=has_glyphs(sys.stderr)), ended.get("reason"), elapsed_cell(ended, utc_now())]
    note("  ".join(filter(None, cells)))
    return ended


def _print_all(
    client: "Client", run_id: str, streams: Sequence[str], deadline: float | None, timeout: float | None
) -> None:
    """Copy each stream to where it belongs; stderr has a thread of its own, so that the two come as they are made."""
    failures: list[Exception] = []

    def copy(stream: str) -> None:
        target = sys.stderr.buffer if stream == "stderr" else sys.stdout.buffer
        try:
            for data in client.follow_output(run_id, stream):
                target.write(data)
                target.flush()
        except (ApsisError, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=copy, args=(stream,), daemon=True) for stream in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)  # in pieces: a Ctrl-C is heard only between them
            if deadline is not None and time.monotonic() > deadline:
                raise TimedOut(timeout or 0, [run_id])
    if failures:
        raise failures[0]


def _until(client: "Client", run_ids: Sequence[str], timeout: float | None) -> Iterator[Json]:
    """Yield the runs' changes; a thread reads them, so that the time-out is kept while nothing happens."""
    import queue

    if timeout is None and not sys.stderr.isatty():
        yield from client.watch_runs(run_ids)
        return
    changes: queue.Queue[Json | Exception | None] = queue.Queue()

    def read() -> None:
        try:
            for run in client.watch_runs(run_ids):
                changes.put(run)
            changes.put(None)
        except ApsisError as error:
            changes.put(error)

    threading.Thread(target=read, daemon=True).start()
    deadline = None if timeout is None else time.monotonic() + timeout
    latest: dict[str, Json] = {}
    while True:
        left = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
        if left <= 0:
            unfinished = [i for i in run_ids if latest.get(i, {}).get("state") not in FINISHED]
            raise TimedOut(timeout or 0, unfinished)
        try:
            change = changes.get(timeout=left)
        except queue.Empty:
            yield from latest.values()  # the time has gone on, and is shown
            continue
        if change is None:
            return
        if isinstance(change, Exception):
            raise change
        latest[change["run_id"]] = change
        yield change


class _Progress:
    """In a terminal one line that is written over; else a line for each change of state."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty()
        self._told: dict[str, str] = {}
        self._width = 0

    def __call__(self, run: Json) -> None:
        """Show a run."""
        if self._quiet:
            return
        cells = [
            state_cell(run, glyphs=has_glyphs(sys.stderr)),
            elapsed_cell(run, utc_now()),
            run["job_id"],
            run["run_id"],
        ]
        line = "  ".join(filter(None, [*cells, run.get("reason") if run["state"] == "waiting" else ""]))
        finished = run["state"] in FINISHED
        changed = self._told.get(run["run_id"]) != run["state"]
        self._told[run["run_id"]] = run["state"]
        if self._live and not finished:
            line = f"{line}  (Ctrl-C stops watching)"
            note(f"\r{line:<{self._width}}", end="")
            self._width = len(line)
        elif changed:
            self.clear()
            note(line)

    def clear(self) -> None:
        """Take the line away."""
        if self._width:
            note(f"\r{'':<{self._width}}\r", end="")
            self._width = 0
