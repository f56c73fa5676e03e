"""Times on the command line: read in this machine's zone, and said back."""

from datetime import UTC, timedelta

import click

from apsis.cli.terminal import note
from apsis.cli.words import utc_now
from apsis.times import format_time


def read_time(text: str | None, option: str) -> str | None:
    """Return a time as REST takes it, and say on stderr how it was understood.

    Raises:
        BadRequest: it is no time, or not one.
    """
    if text is None:
        return None
    from apsis.times.when import read_when

    now = utc_now()
    moment = read_when(text, now, now.astimezone().tzinfo or UTC)
    local = moment.time.astimezone()
    note(f"{option} {local:%Y-%m-%d %H:%M:%S %Z} ({format_time(moment.time)})")
    if moment.note:
        note(f"  {moment.note}")
    return format_time(moment.time)


def read_duration(text: str, option: str) -> timedelta:
    """Return a duration that was typed; a usage error if it is none."""
    from apsis.times.durations import parse_duration

    try:
        return timedelta(seconds=parse_duration(text))
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from None
