"""`apsis check`: everything that is wrong with a job directory; needs no service."""

import sys
import time
from collections.abc import Callable

import click

from apsis.cli.connection import Connection, connected
from apsis.cli.edge import ExitCode
from apsis.cli.job_dirs import find_job_dir
from apsis.cli.terminal import note, paint
from apsis.cli.timing import read_duration
from apsis.cli.words import utc_now

_COLORS = {"error": "red", "warning": "yellow"}


@click.command()
@click.argument("directory", required=False, metavar="[DIR]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="Lines for people and editors, an array of objects, or annotations for GitHub.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 on a warning too.")
@click.option(
    "--horizon",
    default="7d",
    show_default=True,
    metavar="DURATION",
    help="How far ahead runs are looked at: whether what they wait for is scheduled.",
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of job files, for editors, and check nothing.")
@connected
def command(
    connection: Connection, directory: str | None, form: str, strict: bool, horizon: str, schema: bool
) -> int:  # fmt: skip
    """Check the job directory DIR (default: the home's own) and print everything that is wrong with it.

    \b
      apsis check jobs/                    file:line:col: error: text; exits with 1 if there is an error
      apsis check jobs/ --strict           ... or a warning
      apsis check jobs/ --format github    annotations in a workflow
      apsis check --schema > job.schema.json
    """  # noqa: D301 - click wants the control character
    if schema:
        from apsis.checking.schema import schema_text

        click.echo(schema_text())
        return ExitCode.OK
    from apsis.checking.directory import check_directory
    from apsis.checking.one_job import Frame
    from apsis.checking.report import as_json, github_lines, summary, text_lines

    found = find_job_dir(connection, directory)
    frame = Frame(now=utc_now(), horizon=read_duration(horizon, "--horizon"), resources=found.resources)
    checked = check_directory(found.path, frame, _progress())
    if form == "json":
        click.echo(as_json(checked.findings))
    elif form == "github":
        for line in github_lines(checked.findings, found.path):
            click.echo(line)
    else:
        for line, finding in zip(text_lines(checked.findings, found.path), checked.findings, strict=True):
            click.echo(paint(line, _COLORS.get(finding.severity, "")))
    note(summary(checked.findings, len(checked.jobs)))
    return ExitCode.FAILURE if checked.errors or (strict and checked.findings) else ExitCode.OK


def _progress() -> Callable[[int, int], None] | None:
    """Return what shows on a terminal how far the check is; it is silent for what is done at once."""
    if not sys.stderr.isatty():
        return None
    start = last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done == total and last > start:
            note("\r\x1b[K", end="")
        elif now - start > 1.0 and now - last > 0.1:
            last = now
            note(f"\rchecking {done:,} of {total:,} jobs", end="")

    return show
