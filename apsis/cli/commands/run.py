"""`apsis run`: run a job."""

from typing import TYPE_CHECKING, Any

import click

from apsis.cli.connection import Connection, connected
from apsis.cli.finding import is_run_id, no_such_job
from apsis.cli.making import Stay, make_and_stay, print_dry_run, staying_options
from apsis.cli.naming import check_args, read_args
from apsis.cli.timing import read_time
from apsis.errors import BadRequest, NotFound

if TYPE_CHECKING:
    from apsis.client import Client


@click.command()
@click.argument("job")
@click.argument("args", nargs=-1, metavar="[NAME=VAL]...")
@click.option("--at", metavar="TIME", help="When: +10m, 14:30, tomorrow 06:00 (`apsis help times`); default: now.")
@click.option("--stop", "stop_at", metavar="TIME", help="When it is stopped, if it still runs.")
@click.option("--count", default=1, show_default=True, metavar="N", help="How many runs.")
@click.option("--dry-run", is_flag=True, help="Show what would be run, and run nothing.")
@staying_options
@connected
def command(
    connection: Connection, job: str, args: tuple[str, ...], at: str | None, stop_at: str | None, count: int,
    dry_run: bool, stay: Stay,
) -> int:  # fmt: skip
    """Run JOB, now or at a time.

    \b
      apsis run etl/load date=2026-06-30           returns at once, prints the run's id
      apsis run etl/load date=2026-06-30 --follow  prints what it prints; exits as it does
      apsis run backup --at 'tomorrow 06:00'
    """  # noqa: D301 - click wants the control character
    given = read_args(args)
    client = connection.client()
    check_args(_job(client, job), given)
    body: dict[str, Any] = {
        "job_id": job,
        "args": given,
        "schedule_time": read_time(at, "--at"),
        "stop_time": read_time(stop_at, "--stop"),
        "count": count,
        "dry_run": dry_run,
    }
    if dry_run:
        print_dry_run(client.create(body))
        return 0
    return make_and_stay(client, body, stay)


def _job(client: "Client", name: str) -> dict[str, Any]:
    try:
        return client.job(name)
    except NotFound:
        if is_run_id(name):
            raise BadRequest(
                f"{name} is a run", hint=f"To show it: apsis show {name}\nTo run it again: apsis rerun {name}"
            ) from None
        raise no_such_job(client, name) from None
