"""`apsis resume`: let paused jobs, or everything, go on."""

import click

from apsis.cli.connection import Connection, connected
from apsis.cli.pausing import change_all, pausing_options


@click.command()
@click.option("--reason", default="", help="Why; it is written down.")
@pausing_options
@connected
def command(connection: Connection, jobs: tuple[str, ...], everything: bool, form: str, reason: str) -> int:
    """Let paused jobs go on from now; what was due meanwhile is on record, and does not run."""
    return change_all(connection.client(), "resume", jobs, everything=everything, reason=reason, form=form)
