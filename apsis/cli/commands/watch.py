"""`apsis watch`: runs, live."""

import click

from apsis.cli.connection import PATIENCE, Connection, connected
from apsis.cli.filtering import pointing_at
from apsis.cli.finding import is_run_id
from apsis.cli.forms import columns_option, form_option
from apsis.cli.tables import RUNS
from apsis.cli.watching import watch


@click.command()
@click.argument("query", nargs=-1, metavar="[ID|QUERY]...")
@click.option("--limit", type=int, metavar="N", help="How many runs at most; default: as many as fit.")
@columns_option
@form_option
@connected
def command(connection: Connection, query: tuple[str, ...], limit: int | None, columns: str | None, form: str) -> None:
    """Show runs around now and keep them up to date, until Ctrl-C.

    In a terminal the table is redrawn in its place; in a pipe there is a line for each change, or with
    -o ndjson an object: {"event": "snapshot|sync|added|changed|removed", "run": {...}}.
    """
    text = f"id:{','.join(query)}" if query and all(map(is_run_id, query)) else " ".join(query)
    with pointing_at(text):
        watch(connection.client(patience=PATIENCE), text, limit, form, columns.split(",") if columns else list(RUNS))
