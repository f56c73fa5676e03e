"""`apsisctl restart`: restart one service, or all of them and the manager."""

import click

from apsis.cli.ctl.home_option import home_option
from apsis.cli.ctl.managing import check_config
from apsis.cli.ctl.start import wait_until_ready
from apsis.cli.terminal import note
from apsis.errors import ApsisError
from apsis.home import Home
from apsis.manager_socket import ask, follow, holder, status


@click.command()
@click.argument("service", required=False)
@click.option("--timeout", default=60.0, show_default=True, metavar="S", help="Seconds to wait until all are ready.")
@home_option
def command(home: Home, service: str | None, timeout: float) -> None:
    """Restart SERVICE (hub, scheduler, supervisor, store, web, alerts), or all; running programs go on."""
    check_config(home)
    if service is None:
        before = holder(home, "manager")
        for line in follow(home, {"do": "restart", "service": None}, timeout=timeout):
            note(f"  {line['says']}")
        wait_until_ready(home, None, timeout, but_not=before)
        click.echo(f"Apsis runs at {status(home)['url']}")
        return
    after = ask(home, {"do": "restart", "service": service}, timeout=timeout)["service"]
    if after["state"] != "running":
        raise ApsisError(f"{service} cannot start: {after.get('error', '')}", hint="\n".join(after.get("log", [])[-5:]))
    click.echo(f"{service} is running (pid {after['pid']})")
