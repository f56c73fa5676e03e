"""`apsis version`: of this tool, and of the server."""

import click

from apsis import __version__
from apsis.cli.connection import Connection, connected


@click.command()
@connected
def command(connection: Connection) -> None:
    """Print the version of this tool and that of the server."""
    click.echo(f"apsis {__version__}")
    client = connection.client()
    there = client.version()
    click.echo(f"server {there['version']}  {client.url}  instance {there['instance']}  home {there['home']}")
