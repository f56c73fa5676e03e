"""Holding jobs and letting them go on: what `pause` and `resume` share."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from apsis.cli.edge import ExitCode, complain
from apsis.errors import ApsisError, BadRequest, Unavailable

if TYPE_CHECKING:
    from apsis.client import Client

F = TypeVar("F", bound=Callable[..., Any])
_DONE: Final = {"pause": "paused", "resume": "resumed"}


def pausing_options(function: F) -> F:
    """Give a command JOB..., `--all` and `-o`."""
    for option in (
        click.option("-o", "form", type=click.Choice(["text", "json", "ndjson"]), default="text",
                     help="Form of the answer."),
        click.option("--all", "everything", is_flag=True, help="The whole installation, jobs to come too."),
        click.argument("jobs", nargs=-1, metavar="JOB..."),
    ):  # fmt: skip
        function = option(function)
    return function


def change_all(client: "Client", verb: str, jobs: tuple[str, ...], *, everything: bool, reason: str, form: str) -> int:
    """Pause or resume each, and return the exit status: that of the first refusal."""
    if everything == bool(jobs):
        raise BadRequest("name jobs, or --all", hint=f"e.g. apsis {verb} etl/load")
    status, answers = int(ExitCode.OK), []
    for job_id in (None,) if everything else tuple(dict.fromkeys(jobs)):
        try:
            answer = client.pause(job_id, reason) if verb == "pause" else client.resume(job_id, reason)
        except Unavailable:
            raise
        except ApsisError as error:
            status = status or complain(error)
            continue
        answers.append(answer)
        if form == "ndjson":
            click.echo(json.dumps(answer))
        elif form == "text":
            click.echo(_sentence(verb, answer))
    if form == "json":
        click.echo(json.dumps(answers[0] if len(answers) == 1 else answers, indent=2))
    return status


def _sentence(verb: str, answer: dict[str, Any]) -> str:
    what = answer["job_id"] or "everything"
    held = answer["paused"]
    if verb == "resume" and held is not None:
        return f"{_DONE[verb]}  {what}; but everything is paused by {held['by']} since {held['at']}"
    return f"{_DONE[verb]}  {what}"
