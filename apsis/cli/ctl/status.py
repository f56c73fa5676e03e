"""`apsisctl status`: what runs, since when, and what does not."""

import json
from datetime import UTC, datetime
from typing import Any, Final

import click

from apsis import __version__
from apsis.cli.connection import local_client
from apsis.cli.ctl.home_option import command_for, home_option
from apsis.cli.edge import ExitCode
from apsis.cli.terminal import paint
from apsis.errors import ApsisError
from apsis.home import Home
from apsis.manager_socket import ManagerAway, holder, status
from apsis.times import parse_time

#: exit status by state, as `systemctl status` has them; all others are 1
_EXIT: Final = {"ok": 0, "stopped": 3}
_COLORS: Final = {"ok": "green", "running": "green", "stopped": "grey", "failed": "red", "restarting": "yellow"}
_MARKS: Final = {"warn": ("!", "yellow"), "fail": ("✖", "red")}
#: seconds that health is waited for; without it the status is that of the processes alone
_FOR_HEALTH: Final = 3.0
#: in the order of starting
SERVICES: Final = ("hub", "scheduler", "store", "supervisor", "web", "alerts")


@click.command()
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text", help="Form of the answer.")
@home_option
def command(home: Home, output: str) -> int:
    """Show each service; exit 0 if all run and can do their work, 1 if something does not, 3 if Apsis is stopped."""
    try:
        now = status(home)
    except ManagerAway:
        home.require()
        now = without_manager(home)
    now["checks"] = bad_checks(home) if now["state"] == "ok" else []
    if output == "json":
        click.echo(json.dumps(now, indent=2))
    else:
        _print(home, now)
    if any(check["status"] == "fail" for check in now["checks"]):
        return ExitCode.FAILURE
    return _EXIT.get(now["state"], 1)


def without_manager(home: Home) -> dict[str, Any]:
    """Return the status as the locks have it: services may outlive their manager."""
    holders = {name: holder(home, name) for name in SERVICES}
    services = [
        {
            "name": name,
            "pid": info["pid"] if info else None,
            "state": "running" if info else "stopped",
            "since": info["since"] if info else None,
            "restarts": 0,
            "rss": None,
        }
        for name, info in holders.items()
    ]
    web = holders["web"]
    state = "degraded" if any(holders.values()) else "stopped"
    url = web.get("address") if web else None
    return {"state": state, "home": str(home.root), "url": url, "instance": None, "pid": None, "services": services}


def bad_checks(home: Home) -> list[dict[str, Any]]:
    """Return what keeps services that run from their work, as a disk that is full: `[{id, status, message}]`."""
    try:
        checks = local_client(home, timeout=_FOR_HEALTH).health()["checks"]
    except ApsisError as error:
        return [{"id": "health", "status": "warn", "message": f"health is not known: {error.message}"}]
    return [check for check in checks if check["status"] != "ok"]


def _print(home: Home, now: dict[str, Any]) -> None:
    state, color = now["state"], _COLORS.get(now["state"], "yellow")
    words = [f"{paint('●', color)} apsis {paint('running' if state == 'ok' else state, color)}"]
    if now["pid"]:
        words.append(f"pid {now['pid']}")
        words.append(f"up {_age(min(filter(None, (s['since'] for s in now['services'])), default=None))}")
    words += [f"v{__version__}", now["url"] or "", f"home {now['home']}"]
    click.echo("  ".join(filter(None, words)))
    if state == "stopped":
        click.echo(f"  start it with: {command_for(home, 'start')}")
        return
    for service in now["services"]:
        _print_service(service)
    for check in now["checks"]:
        mark, color = _MARKS.get(check["status"], ("!", "yellow"))
        sentence = f"{mark} {check['id']}: {check['message']}"
        click.echo(f"  {paint(sentence, color)}")
    if now["pid"] is None:
        click.echo(f"  the manager is gone: {command_for(home, 'start')} takes the services over")


def _print_service(service: dict[str, Any]) -> None:
    rss = f"{service['rss'] / 1e6:.0f} MB" if service["rss"] else ""
    restarts = f"{service['restarts']} restarts" if service["restarts"] else ""
    state = paint(f"{service['state']:<10}", _COLORS.get(service["state"], "yellow"))
    pid = service["pid"] or "-"
    click.echo(
        f"  {service['name']:<11} {state} pid {pid:<8} {_age(service['since']):>9}  {rss:>7}  {restarts}".rstrip()
    )
    if service.get("error"):
        click.echo(f"    {paint(service['error'], 'red')}")
        for line in service.get("log", [])[-3:]:
            click.echo(f"    | {line}")


def _age(since: str | None) -> str:
    if since is None:
        return ""
    seconds = max(0, int((datetime.now(UTC) - parse_time(since)).total_seconds()))
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"
