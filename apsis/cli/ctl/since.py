"""`--since`: from when on due times are caught up at a start."""

from collections.abc import Callable
from datetime import UTC
from typing import Any, TypeVar

import click

from apsis.cli.ctl.whole_file import write_whole
from apsis.cli.terminal import note
from apsis.cli.words import utc_now
from apsis.config import Config
from apsis.errors import ConfigError
from apsis.home import Home
from apsis.times import format_time

F = TypeVar("F", bound=Callable[..., Any])


def since_option(function: F) -> F:
    """Give a command `--since`."""
    option = click.option(
        "--since", metavar="TIME|DURATION",
        help="What was due before is not caught up by the next start, but recorded: now, 2h, 'yesterday 18:00'.",
    )  # fmt: skip
    return option(function)


def check_since(home: Home, config: Config) -> None:
    """Refuse a `schedule.since` of the configuration with which the scheduler would not start.

    Raises:
        ConfigError: it is no time, or lies ahead.
    """
    if config.schedule.since is None:
        return
    from apsis.times.since import BadSince, read_since

    try:
        read_since(config.schedule.since, utc_now())
    except BadSince as error:
        raise ConfigError(f"{home.config}: schedule.{error.message}", hint=error.hint, loc="schedule.since") from error


def tell_since(home: Home, given: str | None) -> None:
    """Leave the time for the scheduler's next start, and say how it was understood.

    Raises:
        BadRequest: it is no time, or lies ahead.
    """
    if given is None:
        return
    from apsis.times.since import read_since

    now = utc_now()
    since = read_since(given, now, now.astimezone().tzinfo or UTC)
    write_whole(home.since, f"{format_time(since)}\n".encode(), 0o640)
    note(f"due times before {since.astimezone():%Y-%m-%d %H:%M:%S %Z} ({format_time(since)}) do not run")
