"""`--home` after the command's name, which says the same as before it."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from apsis.home import Home

F = TypeVar("F", bound=Callable[..., Any])


def home_option(function: F) -> F:
    """Give a command `--home`; what it gets as its first argument is the `Home`."""

    def chosen(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.obj = Home.find(value)

    option = click.option(
        "--home", metavar="DIR", expose_value=False, callback=chosen, help="Folder of the installation."
    )
    return option(click.pass_obj(function))  # type: ignore[return-value]


def command_for(home: Home, words: str) -> str:
    """Return the `apsisctl` line that a person types for this home."""
    return f"apsisctl {words}" if home == Home.find() else f"apsisctl --home {home.root} {words}"
