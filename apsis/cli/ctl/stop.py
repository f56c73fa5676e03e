"""`apsisctl stop`: stop the services, and the runs too if told so."""

import subprocess
import time
from collections.abc import Iterator
from typing import Any, Final

import click

from apsis.cli.ctl.home_option import command_for, home_option
from apsis.cli.ctl.managing import check_home, manager_command, open_log
from apsis.cli.ctl.status import SERVICES
from apsis.cli.edge import ExitCode
from apsis.cli.terminal import note
from apsis.errors import ApsisError
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
    try:
        request = {"do": "stop", "kill_runs": kill_runs, "timeout": timeout}
        left, ended = _told(follow(home, request, timeout=_SERVICES_END + 2 * timeout))
        _wait_for_manager(home)
    except ManagerAway:
        home.require()
        if not kill_runs and not any(holder(home, name) for name in SERVICES):
            click.echo("Apsis is not running")
            return ExitCode.OK
        left, ended = _without_manager(home, kill_runs, timeout), 0
    runs = f", and so {'is 1 run' if ended == 1 else f'are {ended} runs'}" if ended else ""
    click.echo(f"Apsis is stopped{runs}")
    if left and kill_runs:
        note("  some runs did not end; their processes may hang in the kernel")
        return ExitCode.FAILURE
    if left:
        runs, they = ("run goes", "it is") if left == 1 else ("runs go", "they are")
        note(f"  {left} {runs} on; {they} found again by: {command_for(home, 'start')}")
    return ExitCode.OK


def _told(lines: Iterator[dict[str, Any]]) -> tuple[int, int]:
    """Say each step, and return how many runs are left, and how many were ended."""
    left = ended = 0
    for line in lines:
        if line.get("done"):
            left, ended = line["runs"], line.get("ended", 0)
        else:
            note(f"  {line['says']}")
    return left, ended


def _without_manager(home: Home, kill_runs: bool, timeout: float) -> int:
    """Stop what outlived its manager; return 1 if runs are left that were to be ended."""
    check_home(home)
    words = ["--stop", "--timeout", str(timeout), *(["--kill-runs"] if kill_runs else [])]
    with open_log(home) as log:
        status = subprocess.run(
            [*manager_command(home), *words], cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        ).returncode
    if status not in (0, 1):
        raise ApsisError("the services that outlived their manager cannot be stopped", hint=f"see {log.name}")
    return status if kill_runs else 0


def _wait_for_manager(home: Home) -> None:
    """Wait until the manager's process has ended, so that a start right after this finds nothing."""
    deadline = time.monotonic() + _SERVICES_END
    while holder(home, "manager") and time.monotonic() < deadline:
        time.sleep(0.02)
