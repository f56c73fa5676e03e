"""`apsis jobs`: list jobs, and say which files could not be loaded."""

import click

from apsis.cli.connection import Connection, connected
from apsis.cli.filtering import pointing_at
from apsis.cli.forms import chosen_columns, columns_option, form_option, print_rows
from apsis.cli.tables import JOBS, JOBS_WIDE, job_columns
from apsis.cli.terminal import note, paint
from apsis.cli.words import utc_now


@click.command()
@click.argument("query", nargs=-1)
@columns_option
@form_option
@connected
def command(connection: Connection, query: tuple[str, ...], columns: str | None, form: str) -> None:
    """List jobs that match QUERY: words, job:etl/, label:nightly, PARAM=."""
    text = " ".join(query)
    with pointing_at(text):
        answer = connection.client().jobs(text)
    standard = JOBS_WIDE if form in ("wide", "plain") else JOBS
    picked = chosen_columns(job_columns(utc_now(), plain=form == "plain"), columns, standard)
    print_rows(form, answer["jobs"], picked, "job_id")
    if not answer["jobs"] and form in ("table", "wide"):
        note("no job matches" if text else "no jobs are loaded")
    for finding in answer["errors"]:
        place = ":".join(str(finding[key]) for key in ("file", "line", "column") if finding.get(key))
        note(paint(f"{place}: {finding.get('message', '')}", "red"))
