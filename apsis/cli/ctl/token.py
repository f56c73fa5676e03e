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
        NotFound: the home has none.
    """
    try:
        return home.token.read_text().strip()
    except FileNotFoundError:
        raise NotFound(
            f"there is no token in {home.root}", hint=f"make a home with: apsisctl init {home.root}"
        ) from None
