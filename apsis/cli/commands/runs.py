"""`apsis runs`: list runs."""

import click

from apsis.cli.connection import Connection, connected
from apsis.cli.filtering import pointing_at
from apsis.cli.forms import chosen_columns, columns_option, form_option, print_rows
from apsis.cli.tables import RUNS, RUNS_WIDE, run_columns
from apsis.cli.terminal import note
from apsis.cli.watching import watch
from apsis.cli.words import utc_now


@click.command()
@click.argument("query", nargs=-1)
@click.option("--limit", default=100, show_default=True, metavar="N", help="How many at most, around now.")
@click.option("--since", metavar="TIME", help="Only those due since then: -2h, today, 2026-06-30.")
@click.option("--sort", type=click.Choice(["time", "-time"]), default="time", help="Oldest or newest first.")
@click.option("--watch", "live", is_flag=True, help="Keep the list up to date until Ctrl-C.")
@columns_option
@form_option
@connected
def command(
    connection: Connection, query: tuple[str, ...], limit: int, since: str | None, sort: str, live: bool,
    columns: str | None, form: str,
) -> None:  # fmt: skip
    """List runs that match QUERY, in order of time; `apsis help filters` has the grammar.

    \b
      apsis runs                       what was and will be, around now
      apsis runs state:failure,error   what went wrong
      apsis runs job:etl/ is:active    what of etl/ runs or waits
      apsis runs date=2026-06-30 -o json
    """  # noqa: D301 - click wants the control character
    text = " ".join([*query, *([f"sched:{since}.."] if since else [])])
    now = utc_now()
    plain = form == "plain"
    standard = RUNS_WIDE if form in ("wide", "plain") else RUNS
    picked = chosen_columns(run_columns(now, plain=plain), columns, standard)
    if live:
        watch(connection.client(patience=60), text, limit, form, [column.key for column in picked])
        return
    with pointing_at(text):
        answer = connection.client().runs(text, limit=limit, sort=sort)
    print_rows(form, answer["runs"], picked, "run_id")
    shown, total = len(answer["runs"]), answer["total"]
    if form in ("table", "wide") and (shown == 0 or total > shown):
        exact = "" if answer.get("exact", True) else "at least "
        note(f"{shown} of {exact}{total} runs" if total else "no run matches")
