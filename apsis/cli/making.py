"""Making runs, and staying with them: what `run`, `exec` and `rerun` share."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from apsis.cli.terminal import note
from apsis.cli.waiting import exit_code, follow_until_end, wait_until_end
from apsis.cli.words import args_cell, utc_now

if TYPE_CHECKING:
    from apsis.client import Client

F = TypeVar("F", bound=Callable[..., Any])
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stay:
    """How long to stay with the runs that were made."""

    wait: bool
    follow: bool
    timeout: float | None
    exit_code: bool
    form: str


def staying_options(function: F) -> F:
    """Give a command `--wait`, `--follow`, `--timeout`, `--exit-code` and `-o`; what it gets is a `Stay`."""

    def wrapped(
        *args: Any, wait: bool, follow: bool, timeout: str | None, exit_code: bool, form: str, **more: Any
    ) -> Any:
        return function(*args, stay=Stay(wait, follow, seconds_of(timeout), exit_code, form), **more)

    wrapped.__doc__ = function.__doc__
    wrapped.__name__ = function.__name__
    if hasattr(function, "__click_params__"):
        wrapped.__click_params__ = function.__click_params__  # type: ignore[attr-defined]
    for option in (
        click.option("-o", "form", type=click.Choice(["text", "json", "ndjson", "ids"]), default="text",
                     help="Form of the answer: text, json, ndjson, ids."),
        click.option("--exit-code", is_flag=True, help="With --wait: exit with the program's own status."),
        click.option("--timeout", metavar="DUR", help="With --wait: stop waiting after this, exit 124."),
        click.option("-f", "--follow", is_flag=True, help="Print what the program prints, then as --wait."),
        click.option("-w", "--wait", is_flag=True, help="Wait until it has finished; the exit status says how."),
    ):  # fmt: skip
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def make_and_stay(client: "Client", body: Json, stay: Stay) -> int:
    """Make runs, say which, and stay with them as told; return the exit status."""
    runs = client.create(body)["runs"]
    return stay_with(client, runs, stay)


def stay_with(client: "Client", runs: list[Json], stay: Stay) -> int:
    """Say which runs there are, and stay with them as told; return the exit status."""
    stays = stay.wait or stay.follow
    if stays:
        client.patience = max(client.patience, 60.0)
        for run in runs:
            note(_line(client, run))
    else:
        _print(client, runs, stay.form)
        return 0
    ids = [run["run_id"] for run in runs]
    end = follow_until_end(client, ids[0], stay.timeout) if stay.follow and len(ids) == 1 else None
    ended = [end] if end else wait_until_end(client, ids, stay.timeout)
    if stay.form != "text":
        _print(client, ended, stay.form)
    return exit_code(ended, of_program=stay.exit_code)


def print_dry_run(answer: Json) -> None:
    """Print what would be run."""
    click.echo(json.dumps({name: value for name, value in answer.items() if name != "seq"}, indent=2))


def _print(client: "Client", runs: list[Json], form: str) -> None:
    if form == "json":
        click.echo(json.dumps(runs[0] if len(runs) == 1 else runs, indent=2))
    for run in runs if form != "json" else []:
        if form == "ndjson":
            click.echo(json.dumps(run))
        elif form == "ids" or not sys.stdout.isatty():
            click.echo(run["run_id"])
        else:
            click.echo(_line(client, run))


def _line(client: "Client", run: Json) -> str:
    due = run.get("schedule_time")
    when = f"  at {due}" if due and due > f"{utc_now():%Y-%m-%dT%H:%M:%S}" else ""
    args = args_cell(run.get("args") or {})
    return "  ".join(filter(None, [run["run_id"], run["job_id"], args, f"{client.url}/runs/{run['run_id']}"])) + when


def seconds_of(text: str | None) -> float | None:
    """Return a duration that was typed, in seconds; a usage error if it is none."""
    if text is None:
        return None
    from apsis.times.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.UsageError(f"--timeout: {error}") from None
