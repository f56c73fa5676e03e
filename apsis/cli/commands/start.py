"""`apsis start`: start scheduled or waiting runs now, whatever they wait for."""

import click

from apsis.cli.acting import Chosen, act_on, acting_options, print_runs
from apsis.cli.connection import Connection, connected


@click.command()
@acting_options
@connected
def command(connection: Connection, chosen: Chosen) -> int:
    """Start scheduled or waiting runs now, whatever they wait for."""
    runs, status = act_on(connection.client(), chosen, "start")
    print_runs(runs, chosen.form)
    return status
