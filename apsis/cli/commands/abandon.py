"""`apsis abandon`: give up a run whose host cannot be reached."""

import sys

import click

from apsis.cli.acting import Chosen, act_on, print_runs
from apsis.cli.connection import Connection, connected
from apsis.errors import BadRequest


@click.command()
@click.option(
    "-o", "form", type=click.Choice(["text", "json", "ndjson", "ids"]), default="text", help="Form of the answer."
)
@click.option("--confirm", metavar="ID", help="The run's id once more, where nobody can be asked to type it.")
@click.argument("run_id", metavar="ID")
@connected
def command(connection: Connection, run_id: str, confirm: str | None, form: str) -> int:
    """End a run in error whose host cannot be reached, without knowing what became of its program.

    The program may still run there, and nothing ends it. Should its host come back, a program that has not begun
    never will, and the true result of one that has is written into the run's log; the run stays in error.
    """
    if confirm is None:
        confirm = _ask(run_id)
    if confirm != run_id:
        raise BadRequest(f"{confirm!r} is not {run_id!r}; nothing was done", hint="type the id of the run to abandon")
    runs, status = act_on(connection.client(), Chosen((run_id,), None, True, form), "abandon")
    print_runs(runs, form)
    return status


def _ask(run_id: str) -> str:
    if not sys.stdin.isatty():
        raise BadRequest(
            f"abandon {run_id}? Nobody can be asked here", hint=f"apsis abandon {run_id} --confirm {run_id}"
        )
    click.echo(f"The program of {run_id} may still run on its host, and this does not end it.", err=True)
    answer: str = click.prompt(f"Type {run_id} to abandon the run", err=True)
    return answer.strip()
