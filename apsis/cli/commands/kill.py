"""`apsis kill`: end runs at once, or send them a signal."""

import click

from apsis.cli.acting import Chosen, act_on, acting_options, print_runs
from apsis.cli.connection import Connection, connected


@click.command()
@click.option("-s", "--signal", metavar="SIG", help="Send this signal instead, by name or number: -s USR1")
@acting_options
@connected
def command(connection: Connection, chosen: Chosen, signal: str | None) -> int:
    """Kill runs, with all that they have started; with -s, send a signal and nothing more."""
    client = connection.client()
    if signal is None:
        runs, status = act_on(client, chosen, "kill")
    else:
        runs, status = act_on(client, chosen, "signal", signal=int(signal) if signal.isdecimal() else signal)
    print_runs(runs, chosen.form)
    return status
