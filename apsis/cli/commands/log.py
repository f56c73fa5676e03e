"""`apsis log`: what happened to a run, who did it, and why."""

import json

import click

from apsis.cli.commands.show import log_line
from apsis.cli.connection import PATIENCE, Connection, connected
from apsis.cli.finding import no_such_run
from apsis.cli.words import utc_now
from apsis.errors import NotFound


@click.command()
@click.argument("run_id", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has finished.")
@click.option("-o", "form", type=click.Choice(["text", "json", "ndjson"]), default="text", help="Form of the answer.")
@connected
def command(connection: Connection, run_id: str, follow: bool, form: str) -> None:
    """Print the action log of run ID: each state it went through, by whom and why."""
    client = connection.client(patience=PATIENCE if follow else 0.0)
    try:
        entries = client.log(run_id)
    except NotFound:
        raise no_such_run(client, run_id) from None
    if form == "json" and not follow:
        click.echo(json.dumps(entries, indent=2))
        return

    def show(entry: dict[str, object]) -> None:
        click.echo(log_line(entry, utc_now()) if form == "text" else json.dumps(entry))

    for entry in entries:
        show(entry)
    if not follow:
        return
    last = entries[-1]["seq"] if entries else 0
    for _ in client.watch_runs([run_id]):
        for entry in client.log(run_id):
            if entry["seq"] > last:
                last = entry["seq"]
                show(entry)
