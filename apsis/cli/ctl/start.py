"""`apsisctl start`: start the manager, wait until all services are ready, say where the page is."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from apsis.cli.ctl.home_option import command_for, home_option
from apsis.cli.ctl.managing import check_config, check_home, manager_command, open_log
from apsis.cli.ctl.settings import set_port
from apsis.cli.ctl.since import since_option, tell_since
from apsis.cli.terminal import note, paint
from apsis.errors import ApsisError, Conflict, Unavailable
from apsis.home import Home
from apsis.manager_socket import ManagerAway, ask, holder, status

_POLL: Final = 0.05
#: a service that died this often before it was ready is not waited for any longer
_TRIES: Final = 4


@click.command()
@click.option("--foreground", is_flag=True, help="Run here until Ctrl-C (for systemd too).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the page; noted in apsis.yaml. 0: a free one.")
@click.option("--timeout", default=60.0, show_default=True, metavar="S", help="Seconds to wait until all are ready.")
@since_option
@home_option
def command(home: Home, foreground: bool, port: int | None, timeout: float, since: str | None) -> None:
    """Start all services and wait until they are ready.

    What runs already is left as it is; a service that outlived its manager is taken over.
    """
    check_home(home)
    if (running := _running(home)) is not None:
        if since is not None:
            raise Conflict(
                f"Apsis runs already (pid {running['pid']}), and --since says what a start catches up",
                hint=f"{command_for(home, 'stop')}, then start again with --since",
            )
        wait_until_ready(home, None, timeout)
        note(f"Apsis runs already (pid {running['pid']})")
        if port is not None and not str(running["url"]).endswith(f":{port}"):
            note(f"  for another port: {command_for(home, 'stop')}, then start again with --port {port}")
        _say_where(home)
        return
    if port is not None:
        set_port(home, port)
    check_config(home)
    tell_since(home, since)
    if foreground:
        os.execv(sys.executable, [*manager_command(home), "--foreground"])  # noqa: S606 - the manager takes this process over
    wait_until_ready(home, _start(home), timeout)
    _say_where(home)


def _running(home: Home) -> dict[str, Any] | None:
    try:
        return status(home)
    except ManagerAway:
        return None


def _start(home: Home) -> "subprocess.Popen[bytes]":
    with open_log(home) as log:
        return subprocess.Popen(
            manager_command(home), cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def wait_until_ready(
    home: Home, manager: "subprocess.Popen[bytes] | None", timeout: float, *, but_not: dict[str, Any] | None = None
) -> None:
    """Show how far it is until all are ready; `but_not` is a manager, as its lock names it, whose end is awaited.

    Raises:
        ApsisError: a service cannot start; then what this call started is stopped again.
        Unavailable: it takes too long.
    """
    deadline = time.monotonic() + timeout
    told: set[str] = set()
    while time.monotonic() < deadline:
        now = _running(home) if but_not is None or holder(home, "manager") != but_not else None
        if now is None:
            if manager is not None and manager.poll() is not None:
                raise ApsisError("the manager cannot start", hint=_last_lines(home.service_log("manager")))
        else:
            _progress(now, told)
            if now["state"] == "ok":
                return
            broken = _broken(now)
            if broken is not None:
                if manager is not None:
                    ask(home, {"do": "stop"}, timeout=30)
                    manager.wait()
                raise _cannot_start(home, broken, stopped=manager is not None)
        time.sleep(_POLL)
    raise Unavailable(f"not all services are ready after {timeout:g} s", hint=f"see: {command_for(home, 'status')}")


def _broken(now: dict[str, Any]) -> dict[str, Any] | None:
    for service in now["services"]:
        if service["state"] == "failed" or (service["state"] == "restarting" and service["restarts"] >= _TRIES):
            return dict(service)
    return None


def _cannot_start(home: Home, service: dict[str, Any], *, stopped: bool) -> ApsisError:
    lines = [f"last lines of {home.service_log(service['name'])}:"]
    lines += [f"  {line}" for line in service.get("log", [])[-5:]]
    if stopped:
        lines.append("nothing was left running; mend this, then start again")
    return ApsisError(f"{service['name']} cannot start: {service.get('error', '')}", hint="\n".join(lines))


def _progress(now: dict[str, Any], told: set[str]) -> None:
    for service in now["services"]:
        name = service["name"]
        if service["state"] == "running" and name not in told:
            told.add(name)
            note(f"  {paint('✔', 'green', sys.stderr)} {name:<11} pid {service['pid']}")


def _say_where(home: Home) -> None:
    url = status(home)["url"]
    click.echo(f"Apsis runs at {paint(url, 'bold')}")
    click.echo(f"  Log in with the token that this prints:  {command_for(home, 'token')}")
    click.echo(f"  Stop it with:                            {command_for(home, 'stop')}")


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-5:])
