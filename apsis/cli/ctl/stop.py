"""`apsisctl stop`: stop the services, and the runs too if told so."""

import time
from typing import Final

import click

from apsis.cli.ctl.home_option import command_for, home_option
from apsis.cli.edge import ExitCode
from apsis.cli.terminal import note
from apsis.home import Home
from apsis.manager_socket import ManagerAway, follow, holder

_SERVICES_END: Final = 30.0


@click.command()
@click.option("--kill-runs", is_flag=True, help="Stop the running programs too: by their stop signal, then by KILL.")
@click.option(
    "--timeout", default=60.0, show_default=True, metavar="S",
    help="With --kill-runs: seconds from the stop signal to KILL, at most.",
)  # fmt: skip
@home_option
def command(home: Home, kill_runs: bool, timeout: float) -> int:
    """Stop all services. Running programs go on, and are found again by the next start."""
    left = 0
    try:
        request = {"do": "stop", "kill_runs": kill_runs, "timeout": timeout}
        for line in follow(home, request, timeout=_SERVICES_END + 2 * timeout):
            if line.get("done"):
                left = line["runs"]
            else:
                note(line["says"])
    except ManagerAway:
        return _stop_orphans(home)
    _wait_for_manager(home)
    click.echo("Apsis is stopped")
    if left and kill_runs:
        note(f"  {left} runs did not end; their processes may hang in the kernel")
        return ExitCode.FAILURE
    if left:
        note(f"  {left} runs go on; they are found again by: {command_for(home, 'start')}")
    return ExitCode.OK


def _stop_orphans(home: Home) -> int:
    left = [name for name in ("hub", "scheduler", "supervisor", "store", "web") if holder(home, name)]
    if not left:
        click.echo("Apsis is not running")
        return ExitCode.OK
    note(f"The manager is gone, but these services run: {', '.join(left)}")
    note(f"  Take them over with: {command_for(home, 'start')}   and stop then")
    return ExitCode.FAILURE


def _wait_for_manager(home: Home) -> None:
    """Wait until the manager's process has ended, so that a start right after this finds nothing."""
    deadline = time.monotonic() + _SERVICES_END
    while holder(home, "manager") and time.monotonic() < deadline:
        time.sleep(0.02)
