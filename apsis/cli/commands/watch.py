"""`apsis watch`: runs, live."""

import click

from apsis.cli.connection import PATIENCE, Connection, connected
from apsis.cli.filtering import pointing_at
from apsis.cli.finding import is_run_id, no_such_run
from apsis.cli.forms import columns_option, form_option
from apsis.cli.tables import RUNS
from apsis.cli.watching import watch
from apsis.errors import NotFound


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
    client = connection.client(patience=PATIENCE)
    ids = query if all(map(is_run_id, query)) else ()
    for run_id in ids:
        try:
            client.run(run_id)
        except NotFound:
            raise no_such_run(client, run_id) from None
    text = f"id:{','.join(ids)}" if ids else " ".join(query)
    with pointing_at(text):
        watch(client, text, limit, form, columns.split(",") if columns else list(RUNS))
