"""`apsis pause`: hold jobs, or everything."""

import click

from apsis.cli.connection import Connection, connected
from apsis.cli.pausing import change_all, pausing_options


@click.command()
@click.option("--reason", default="", help="Why; whoever asks why a job does not run is told.")
@pausing_options
@connected
def command(connection: Connection, jobs: tuple[str, ...], everything: bool, form: str, reason: str) -> int:
    """Hold jobs: their scheduled runs do not start. Runs that people ask for do.

    What is due meanwhile is on record, and does not run later either. What runs already goes on.
    """
    return change_all(connection.client(), "pause", jobs, everything=everything, reason=reason, form=form)
