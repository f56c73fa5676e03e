"""`apsisctl alerts`: how the delivery of alerts goes; a group of three commands, each in its module."""

from typing import Final

import click

from apsis.cli.lazy import Entry, LazyGroup

_ENTRIES: Final = {
    "list": Entry("apsis.cli.ctl.alerts_list", "Show what waits to be delivered, and what was given up."),
    "retry": Entry("apsis.cli.ctl.alerts_retry", "Try again what was given up."),
    "test": Entry("apsis.cli.ctl.alerts_test", "Send a test alert: to an address, or by an action of the config."),
}


class AlertCommands(LazyGroup):
    """The commands of `apsisctl alerts`."""

    entries = _ENTRIES


@click.command(cls=AlertCommands)
def command() -> None:
    """See how the delivery of alerts goes, and test it.

    What an alert is, and how a job or apsis.yaml asks for one: docs/alerts.md.
    """
