"""`apsisctl alerts test`: send a test alert."""

import click

from apsis.cli.connection import local_client
from apsis.cli.ctl.home_option import home_option
from apsis.home import Home

#: seconds: a server that hangs is waited for until its timeout
_PATIENCE = 180.0


@click.command()
@click.argument("to", metavar="EMAIL|ACTION")
@home_option
def command(home: Home, to: str) -> int:
    """Send a test alert and say what came of it; exit 1 if it was not taken.

    EMAIL is an address; ACTION is the number, from 0, of one of the actions that `action` in apsis.yaml has for sending
    something.
    """
    body = {"index": int(to)} if to.isdecimal() else {"to": to}
    tested = local_client(home, timeout=_PATIENCE).call("POST", "/alerts/test", body=body)
    click.echo(f"{tested['target']}: {tested['text']} (event id {tested['event_id']})")
    return 0 if tested["delivered"] else 1
