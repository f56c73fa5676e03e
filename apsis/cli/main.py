"""`apsis`: people's tool. It speaks REST, so it works from another machine too."""

import sys
from typing import Final

import click

from apsis import __version__
from apsis.cli.connection import Connection, connection_options
from apsis.cli.edge import run
from apsis.cli.lazy import Entry, LazyGroup

_HERE: Final = "apsis.cli.commands"
_ENTRIES: Final = {
    "runs": Entry(f"{_HERE}.runs", "List runs: apsis runs state:failure is:active job:etl/"),
    "jobs": Entry(f"{_HERE}.jobs", "List jobs."),
    "show": Entry(f"{_HERE}.show", "Show a run or a job in full."),
    "run": Entry(f"{_HERE}.run", "Run a job: apsis run etl/load date=2026-06-30 --follow"),
    "exec": Entry(f"{_HERE}.exec", "Run a command once: apsis exec -- CMD ARG..."),
    "output": Entry(f"{_HERE}.output", "Print what a run printed; -f follows it."),
    "log": Entry(f"{_HERE}.log", "Print what happened to a run, and why."),
    "why": Entry(f"{_HERE}.why", "Explain why a run waits or ended so, or why a job did not run."),
    "next": Entry(f"{_HERE}.next", "List what will run; with --job-dir of a directory, without a server."),
    "watch": Entry(f"{_HERE}.watch", "Watch runs live; plain lines when piped."),
    "wait": Entry(f"{_HERE}.wait", "Wait until runs have finished."),
    "abandon": Entry(f"{_HERE}.abandon", "Give up a run whose host cannot be reached."),
    "rerun": Entry(f"{_HERE}.rerun", "Run runs again."),
    "start": Entry(f"{_HERE}.start", "Start scheduled or waiting runs now."),
    "skip": Entry(f"{_HERE}.skip", "Skip runs that have not started."),
    "stop": Entry(f"{_HERE}.stop", "Stop runs: their stop signal, then KILL."),
    "kill": Entry(f"{_HERE}.kill", "Kill runs, or send them a signal."),
    "check": Entry(f"{_HERE}.check", "Check a job directory: every mistake, with its line; needs no server."),
    "test": Entry(f"{_HERE}.test", "Expand one run of a job and show what it would be; needs no server."),
    "pause": Entry(f"{_HERE}.pause", "Hold jobs, or everything: nothing scheduled starts."),
    "resume": Entry(f"{_HERE}.resume", "Let paused jobs go on, from now."),
    "version": Entry(f"{_HERE}.version", "Print the versions of this tool and of the server."),
    "help": Entry(f"{_HERE}.help", "Explain a topic: filters, times, exit-codes, environment, formats."),
}


class People(LazyGroup):
    """The commands of `apsis`."""

    entries = _ENTRIES


@click.command(cls=People, context_settings={"help_option_names": ["-h", "--help"]})
@connection_options
@click.version_option(__version__, prog_name="apsis", message="%(prog)s %(version)s")
@click.pass_context
def group(ctx: click.Context) -> None:
    """Look at runs and jobs, and run, follow and stop them.

    \b
      apsis runs is:active                         what runs or waits
      apsis run etl/load date=2026-06-30 --follow  run a job and see what it prints
      apsis output r123 -f                         follow a run's output
      apsis show r123                              all that is known of a run
    """  # noqa: D301 - click wants the control character
    ctx.ensure_object(Connection)


def main() -> None:
    """Run `apsis`."""
    sys.exit(run(group, "apsis"))
