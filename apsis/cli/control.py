"""`apsisctl`: the operator's tool. It makes homes, starts and stops Apsis, and says how it goes."""

import sys
from typing import Final

import click

from apsis import __version__
from apsis.cli.edge import run
from apsis.cli.lazy import Entry, LazyGroup
from apsis.home import Home

_ENTRIES: Final = {
    "init": Entry("apsis.cli.ctl.init", "Make a home: the folder that holds an installation."),
    "start": Entry("apsis.cli.ctl.start", "Start all services and wait until they are ready."),
    "stop": Entry("apsis.cli.ctl.stop", "Stop all services; running programs go on."),
    "restart": Entry("apsis.cli.ctl.restart", "Restart one service, or all of them."),
    "status": Entry("apsis.cli.ctl.status", "Show what runs; exit 0 ok, 1 degraded, 3 stopped."),
    "check": Entry("apsis.cli.ctl.check", "Examine the installation, also while it is stopped."),
    "logs": Entry("apsis.cli.ctl.logs", "Print the services' logs."),
    "reload": Entry("apsis.cli.ctl.reload", "Read the job directory again."),
    "db": Entry("apsis.cli.ctl.db", "Back up, check and put back the database."),
    "alerts": Entry("apsis.cli.ctl.alerts", "Show and test the delivery of alerts; try again what was given up."),
    "token": Entry("apsis.cli.ctl.token", "Print the admin token, to log in with."),
}


class Control(LazyGroup):
    """The commands of `apsisctl`."""

    entries = _ENTRIES


@click.command(cls=Control, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--home", metavar="DIR", help="Folder of the installation; default: $APSIS_HOME, else ~/.apsis.")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.version_option(__version__, prog_name="apsisctl", message="%(prog)s %(version)s")
@click.pass_context
def group(ctx: click.Context, home: str | None, debug: bool) -> None:
    """Make, start, stop and inspect an installation of Apsis.

    \b
      apsisctl init --demo      make a home with example jobs
      apsisctl start            start everything; prints the page's address
      apsisctl status           what runs
      apsisctl stop             stop the services; programs go on
    """  # noqa: D301 - click wants the control character
    ctx.obj = Home.find(home)


def main() -> None:
    """Run `apsisctl`."""
    sys.exit(run(group, "apsisctl"))
