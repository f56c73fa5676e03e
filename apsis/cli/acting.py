"""Acting on runs: what `start`, `skip`, `stop`, `kill` and `rerun` share."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from apsis.cli.edge import ExitCode, complain
from apsis.cli.filtering import pointing_at
from apsis.cli.finding import no_such_run
from apsis.cli.terminal import has_glyphs, note
from apsis.cli.words import args_cell, state_cell
from apsis.errors import ApsisError, BadRequest, NotFound, Unavailable

if TYPE_CHECKING:
    from apsis.client import Client

F = TypeVar("F", bound=Callable[..., Any])
Json = dict[str, Any]
_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which runs are meant, and how the answer is printed."""

    ids: tuple[str, ...]
    query: str | None
    yes: bool
    form: str


def acting_options(function: F) -> F:
    """Give a command ID..., `--all-matching`, `--yes` and `-o`; what it gets is a `Chosen`."""

    def wrapped(*args: Any, ids: tuple[str, ...], query: str | None, yes: bool, form: str, **more: Any) -> Any:
        return function(*args, chosen=Chosen(ids, query, yes, form), **more)

    wrapped.__doc__ = function.__doc__
    wrapped.__name__ = function.__name__
    if hasattr(function, "__click_params__"):
        wrapped.__click_params__ = function.__click_params__  # type: ignore[attr-defined]
    for option in (
        click.option("-o", "form", type=click.Choice(["text", "json", "ndjson", "ids"]), default="text",
                     help="Form of the answer."),
        click.option("-y", "--yes", is_flag=True, help="With --all-matching: do not ask."),
        click.option("--all-matching", "query", metavar="QUERY", help="All runs that match, after asking once."),
        click.argument("ids", nargs=-1, metavar="ID..."),
    ):  # fmt: skip
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def act_on(client: "Client", chosen: Chosen, action: str, **order: Any) -> tuple[list[Json], int]:
    """Do it to each run, and return the runs as they are then and the exit status: that of the first refusal."""
    runs: list[Json] = []
    status = int(ExitCode.OK)
    for run_id in _meant(client, chosen, action):
        try:
            answer = client.act(run_id, action, **order)
        except Unavailable:
            raise
        except NotFound:
            status = status or complain(no_such_run(client, run_id))
        except ApsisError as error:
            status = status or complain(type(error)(f"{run_id}: {error.message}", hint=error.hint))
        else:
            runs.extend(answer.get("runs") or [answer["run"]])
    return runs, status


def print_runs(runs: list[Json], form: str) -> None:
    """Print what became of the runs."""
    if form == "json":
        click.echo(json.dumps(runs[0] if len(runs) == 1 else runs, indent=2))
        return
    for run in runs:
        if form == "ndjson":
            click.echo(json.dumps(run))
        elif form == "ids":
            click.echo(run["run_id"])
        else:
            cells = [run["run_id"], state_cell(run, glyphs=has_glyphs(sys.stdout)), run["job_id"]]
            click.echo("  ".join([*cells, args_cell(run.get("args") or {}), run.get("reason") or ""]).rstrip())


def _meant(client: "Client", chosen: Chosen, action: str) -> list[str]:
    if bool(chosen.ids) == bool(chosen.query):
        raise BadRequest("name runs, or --all-matching QUERY", hint=f"e.g. apsis {action} r123")
    if chosen.query is None:
        return list(dict.fromkeys(chosen.ids))
    with pointing_at(chosen.query):
        found = client.runs(chosen.query, limit=_MOST)
    ids = [run["run_id"] for run in found["runs"]]
    if found["total"] > len(ids):
        raise BadRequest(f"{found['total']} runs match; at most {_MOST} at once", hint="narrow the query")
    if ids and not chosen.yes:
        _ask(f"{action} {len(ids)} runs?")
    if not ids:
        note("no run matches")
    return ids


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise BadRequest(f"{question} Nobody can be asked here", hint="add --yes")
    if not click.confirm(question, err=True):
        raise click.Abort
