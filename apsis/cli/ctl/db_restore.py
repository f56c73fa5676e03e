"""`apsisctl db restore`: put a backup in the place of the database."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from apsis.cli.ctl.db_process import contents, maintain
from apsis.cli.ctl.home_option import command_for, home_option
from apsis.cli.terminal import note
from apsis.errors import ApsisError, BadRequest, Conflict
from apsis.home import Home
from apsis.manager_socket import holder


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@home_option
def command(home: Home, file: Path, yes: bool) -> None:
    """Put the backup FILE in the place of the database; the one before it is kept beside it.

    The scheduler must be stopped; programs go on. Started again, it asks every host for what it holds: runs of
    the time after the backup are taken up with their true status, and none is started a second time.
    """
    _refuse_while_it_runs(home)
    if not yes and not sys.stdin.isatty():
        raise BadRequest(
            "nobody is there to be asked; nothing was changed",
            hint=f"say that it is meant: {command_for(home, 'db restore --yes')} {shlex.quote(str(file))}",
        )
    backup = maintain(home, "check", file)
    if backup["wrong"]:
        raise ApsisError(
            f"{backup['file']} is damaged: {backup['wrong'][0]}", hint=f"see: {command_for(home, 'db backups')}"
        )
    note(f"  The backup: {contents(backup)}")
    note(f"  The present database: {_present(home)}")
    if not yes:
        click.confirm("Put the backup in its place?", abort=True, err=True)
    done = maintain(home, "restore", file)
    click.echo(f"Put back {done['file']} as {done['database']}")
    if done["aside"]:
        click.echo(f"  The database before it is kept as {done['aside']}")
    click.echo(f"  Start Apsis with: {command_for(home, 'start')}")


def _refuse_while_it_runs(home: Home) -> None:
    home.require()
    for service in ("manager", "scheduler"):
        if (found := holder(home, service)) is not None:
            raise Conflict(
                f"the {service} of {home.root} runs (process {found['pid']}); nothing was changed",
                hint=f"stop Apsis first: {command_for(home, 'stop')}; programs that run go on",
            )


def _present(home: Home) -> str:
    """Say what is there, also where that is beyond reading: then it is what a backup is put back for."""
    try:
        found: dict[str, Any] = maintain(home, "check")
    except ApsisError as error:
        return error.message
    return f"not whole: {found['wrong'][0]}" if found["wrong"] else contents(found)
