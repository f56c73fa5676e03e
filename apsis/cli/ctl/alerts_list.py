"""`apsisctl alerts list`: what waits to be delivered, and what was given up."""

import json

import click

from apsis.cli.connection import local_client
from apsis.cli.ctl.home_option import home_option
from apsis.home import Home


@click.command()
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text", help="Form of the answer.")
@home_option
def command(home: Home, output: str) -> int:
    """Show what waits and what was given up; exit 1 if anything was."""
    found = local_client(home).call("GET", "/alerts")
    if output == "json":
        click.echo(json.dumps(found, indent=2))
        return 1 if found["dead"] else 0
    for problem in found["problems"]:
        click.echo(problem)
    since = f", the oldest since {found['oldest']}" if found["oldest"] else ""
    click.echo(f"{found['waiting']} waiting{since}; {found['dead']} given up")
    for letter in found["letters"]:
        click.echo(
            f"{letter['event_id']}  {letter['run_id']} of {letter['job_id']}  {letter['kind']}: {letter['target']}"
        )
        click.echo(f"    given up {letter['given_up']} after {letter['attempts']} attempts: {letter['why']}")
    if found["dead"]:
        click.echo("try them again with: apsisctl alerts retry")
    return 1 if found["dead"] else 0
