"""`apsisctl db backup`: copy the database."""

import json
import shlex
from pathlib import Path

import click

from apsis.cli.ctl.db_process import contents, maintain
from apsis.cli.ctl.home_option import command_for, home_option
from apsis.home import Home


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text", help="Form of the answer.")
@home_option
def command(home: Home, file: Path | None, output: str) -> None:
    """Copy the database into FILE (default: db/backups/TIME.db in the home), checked and on the disk.

    Apsis may run meanwhile. A file that is there already is never overwritten.
    """
    found = maintain(home, "backup", file)
    if output == "json":
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"Backed up into {found['file']}")
    click.echo(f"  {contents(found)}")
    click.echo(f"  Put it back with: {command_for(home, 'db restore')} {shlex.quote(found['file'])}")
