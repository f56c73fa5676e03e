"""`apsisctl db backups`: list what may be put back."""

import json

import click

from apsis.cli.ctl.db_process import maintain, megabytes
from apsis.cli.ctl.home_option import command_for, home_option
from apsis.home import Home


@click.command()
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text", help="Form of the answer.")
@home_option
def command(home: Home, output: str) -> None:
    """List the backups of this home, latest first; none of them is removed by itself."""
    found = maintain(home, "backups")
    if output == "json":
        click.echo(json.dumps(found, indent=2))
        return
    if not found["backups"]:
        click.echo(f"There is no backup in {found['folder']}; make one with: {command_for(home, 'db backup')}")
    for one in found["backups"]:
        click.echo(f"{one['at']}  {megabytes(one['size']):>10}  {one['file']}")
