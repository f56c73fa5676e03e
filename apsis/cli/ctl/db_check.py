"""`apsisctl db check`: look through the database."""

import json
from pathlib import Path

import click

from apsis.cli.ctl.db_process import contents, maintain, megabytes
from apsis.cli.ctl.home_option import command_for, home_option
from apsis.cli.edge import ExitCode
from apsis.cli.terminal import paint
from apsis.home import Home


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text", help="Form of the answer.")
@home_option
def command(home: Home, file: Path | None, output: str) -> int:
    """Look through every page of the database, or of the backup FILE; exit 1 if it is not whole.

    Apsis may run meanwhile.
    """
    found = maintain(home, "check", file)
    if output == "json":
        click.echo(json.dumps(found, indent=2))
        return ExitCode.FAILURE if found["wrong"] else ExitCode.OK
    if found["wrong"]:
        click.echo(f"{paint('✖', 'red')} {found['file']} is not whole")
        for wrong in found["wrong"]:
            click.echo(f"  {wrong}")
        click.echo(f"  Put back a sound backup: {command_for(home, 'db backups')}")
        return ExitCode.FAILURE
    click.echo(f"{paint('✔', 'green')} {found['file']} is whole")
    click.echo(f"  {contents(found)}")
    log = f", {megabytes(found['wal'])} in its log" if found["wal"] else ""
    click.echo(f"  events {found['floor'] + 1} to {found['head']} without a hole{log}")
    click.echo(f"  journal {found['journal']}, term {found['term']}")
    if found["restored"]:
        click.echo(f"  put back from a backup at {found['restored']}; the hosts are asked at the next start")
    return ExitCode.OK
