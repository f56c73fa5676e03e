"""`apsis skip`: skip scheduled or waiting runs: they will not be run."""

import click

from apsis.cli.acting import Chosen, act_on, acting_options, print_runs
from apsis.cli.connection import Connection, connected


@click.command()
@acting_options
@connected
def command(connection: Connection, chosen: Chosen) -> int:
    """Skip scheduled or waiting runs: they will not be run."""
    runs, status = act_on(connection.client(), chosen, "skip")
    print_runs(runs, chosen.form)
    return status
