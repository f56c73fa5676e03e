"""Which server is meant, and who we are there: options, then the environment, then the home."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from apsis.cli.terminal import choose_color, note
from apsis.errors import Denied, Unavailable
from apsis.home import Home

if TYPE_CHECKING:
    from apsis.client import Client

F = TypeVar("F", bound=Callable[..., Any])

#: seconds for which a command that waits or follows looks for a server that went away
PATIENCE: Final = 60.0


@dataclass
class Connection:
    """What was said on the command line of where to go."""

    server: str | None = None
    token_file: str | None = None
    home: str | None = None

    def client(self, *, patience: float = 0.0) -> "Client":
        """Return the client for the server that is meant.

        Raises:
            Unavailable: none is named and none runs in the home; Denied: there is no token.
        """
        from apsis.client import Client

        home = Home.find(self.home)
        server = self.server or os.environ.get("APSIS_SERVER")
        client = Client(server or _server_of(home), self.token(home), patience=patience)
        client.on_resumed = lambda sentence: note(f"[{sentence}]")
        return client

    def token(self, home: Home) -> str:
        """Return the token; raises Denied if there is none."""
        path = Path(self.token_file).expanduser() if self.token_file else None
        if path is None:
            if token := os.environ.get("APSIS_TOKEN"):
                return token
            path = home.token
        hint = "give one by --token-file FILE or APSIS_TOKEN; on the server, `apsisctl token` prints it"
        try:
            token = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise Denied(f"no token: {path} cannot be read ({why})", hint=hint) from None
        if not token:
            raise Denied(f"no token: {path} is empty", hint=hint)
        return token


def local_client(home: Home, *, timeout: float = 30.0) -> "Client":
    """Return the client for a home's own server, whatever the environment names.

    Raises:
        ConfigError: the folder is no home; Unavailable: it is not running; Denied: there is no token.
    """
    from apsis.client import Client

    home.require()
    token = Connection(token_file=str(home.token)).token(home)
    return Client(_server_of(home), token, timeout=timeout)


def connection_options(function: F) -> F:
    """Give a command `--server`, `--token-file`, `--home`, `--color` and `--debug`."""

    def keep(name: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
        def kept(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
            if value is not None:
                setattr(ctx.ensure_object(Connection), name, value)

        return kept

    def color(_ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
        if value is not None:
            choose_color(value)

    for option in (
        click.option("--debug", is_flag=True, expose_value=False, help="Show where an error comes from."),
        click.option(
            "--color", type=click.Choice(["auto", "always", "never"]), expose_value=False, callback=color,
            help="Colours; default: auto.",
        ),
        click.option(
            "--home", metavar="DIR", expose_value=False, callback=keep("home"),
            help="Home whose server is meant; default: $APSIS_HOME, else ~/.apsis.",
        ),
        click.option(
            "--token-file", metavar="FILE", expose_value=False, callback=keep("token_file"),
            help="File with the token; default: $APSIS_TOKEN, else the home's.",
        ),
        click.option(
            "--server", metavar="URL", expose_value=False, callback=keep("server"),
            help="Address of the server; default: $APSIS_SERVER, else the home's.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def connected(function: F) -> F:
    """Give a command the options above, and the `Connection` as its first argument."""
    return connection_options(click.pass_obj(function))  # type: ignore[return-value]


def _server_of(home: Home) -> str:
    from apsis.manager_socket import holder

    web = holder(home, "web")
    if web and web.get("address"):
        return str(web["address"])
    if not home.config.exists():
        raise Unavailable(
            f"there is no Apsis home at {home.root}, and no server is named",
            hint="name one: --server URL or APSIS_SERVER, or --home DIR\n"
            f"or make a home with: apsisctl init {home.root}",
        )
    from apsis.config import load_config

    config = load_config(home).web
    url = f"http://{config.bind}:{config.port}" if config.port else f"the server of {home.root}"
    raise Unavailable(
        f"cannot reach {url} (it is not running)",
        hint="Start it:  apsisctl start        Other server: --server URL or APSIS_SERVER",
    )
