"""`apsis stop`: stop runs: the stop signal of the job, its grace period, then KILL."""

import click

from apsis.cli.acting import Chosen, act_on, acting_options, print_runs
from apsis.cli.connection import Connection, connected


@click.command()
@acting_options
@connected
def command(connection: Connection, chosen: Chosen) -> int:
    """Stop runs: the stop signal of the job, its grace period, then KILL."""
    runs, status = act_on(connection.client(), chosen, "stop")
    print_runs(runs, chosen.form)
    return status
