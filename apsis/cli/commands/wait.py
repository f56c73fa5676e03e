"""`apsis wait`: wait until runs have finished."""

import json

import click

from apsis.cli.connection import PATIENCE, Connection, connected
from apsis.cli.making import seconds_of
from apsis.cli.waiting import exit_code, wait_until_end


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--any", "any_one", is_flag=True, help="Until one of them has.")
@click.option("--timeout", metavar="DUR", help="Stop waiting after this, exit 124.")
@click.option("--exit-code", "own", is_flag=True, help="Exit with the program's own status (one run).")
@click.option("-o", "form", type=click.Choice(["text", "json", "ndjson"]), default="text", help="Form of the answer.")
@connected
def command(
    connection: Connection, ids: tuple[str, ...], any_one: bool, timeout: str | None, own: bool, form: str
) -> int:
    """Wait until runs have finished; the exit status is that of the worst result."""
    client = connection.client(patience=PATIENCE)
    runs = wait_until_end(client, list(dict.fromkeys(ids)), seconds_of(timeout), any_one=any_one)
    if form == "json":
        click.echo(json.dumps(runs, indent=2))
    for run in runs if form == "ndjson" else []:
        click.echo(json.dumps(run))
    return exit_code(runs, of_program=own)
