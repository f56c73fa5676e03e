"""`apsisctl alerts retry`: try again what was given up."""

import click

from apsis.cli.connection import local_client
from apsis.cli.ctl.home_option import home_option
from apsis.errors import NotFound
from apsis.home import Home


@click.command()
@click.argument("event_ids", nargs=-1, metavar="[ID]...")
@home_option
def command(home: Home, event_ids: tuple[str, ...]) -> None:
    """Try dead letters again, by the ids that `apsisctl alerts list` shows; without an id, all of them."""
    count = local_client(home).call("POST", "/alerts/retry", body={"event_ids": list(event_ids)})["count"]
    if count < len(event_ids):
        raise NotFound(
            f"{count} of {len(event_ids)} are tried again; the others are no dead letters",
            hint="`apsisctl alerts list` shows those that there are",
        )
    click.echo(f"{count} tried again")
