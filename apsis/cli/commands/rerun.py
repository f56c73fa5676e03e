"""`apsis rerun`: run runs again."""

import click

from apsis.cli.acting import Chosen, act_on, acting_options, print_runs
from apsis.cli.connection import Connection, connected


@click.command()
@click.option(
    "--as", "as_", type=click.Choice(["now", "then"]), default="now", show_default=True,
    help="With the job as it is now, or as it was then.",
)  # fmt: skip
@acting_options
@connected
def command(connection: Connection, chosen: Chosen, as_: str) -> int:
    """Run finished runs again, with the same args; prints the new runs."""
    runs, status = act_on(connection.client(), chosen, "rerun", **{"as": as_})
    print_runs(runs, chosen.form)
    return status
