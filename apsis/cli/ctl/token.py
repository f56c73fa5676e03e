"""`apsisctl token`: print the admin token."""

import click

from apsis.cli.ctl.home_option import home_option
from apsis.errors import NotFound
from apsis.home import Home


@click.command()
@home_option
def command(home: Home) -> None:
    """Print the admin token of this home; paste it into the page's login."""
    click.echo(read_token(home))


def read_token(home: Home) -> str:
    """Return the admin token.

    Raises:
        ConfigError: the folder is no home; NotFound: the home has no token, or an empty one.
    """
    home.require()
    token = home.token.read_text().strip() if home.token.exists() else ""
    if not token:
        why = "is empty" if home.token.exists() else "is not there"
        raise NotFound(f"there is no token: {home.token} {why}", hint=f"make a new one with: apsisctl init {home.root}")
    return token
