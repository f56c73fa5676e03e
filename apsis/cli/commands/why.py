"""`apsis why`: why a run waits or ended so, why a job did not run, what holds a resource, why nothing starts."""

import json
import sys
from datetime import date, timedelta
from typing import Any

import click

from apsis.cli.connection import Connection, connected
from apsis.cli.finding import is_run_id, no_such_job, no_such_run
from apsis.cli.forms import one_line
from apsis.cli.terminal import has_glyphs, paint
from apsis.cli.timing import read_time
from apsis.cli.words import utc_now
from apsis.errors import BadRequest, NotFound

Json = dict[str, Any]

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
#: (for a terminal, in ASCII) by whether a condition holds
_MARKS = {True: ("✔ ", "+ ", "green"), False: ("✖ ", "x ", "red"), None: ("· ", "- ", "")}


@click.command()
@click.argument("subject", required=False, metavar="[RUN|JOB]")
@click.option("--on", metavar="DATE|TIME", help="Of a job: why on that day, or at that time: friday, 2026-06-26, -2h.")
@click.option("--resource", metavar="NAME", help="What holds a resource, and who waits for it.")
@click.option("--missed", is_flag=True, help="Which due times did not become runs.")
@click.option("--since", metavar="TIME", help="With --missed: from when on; default: a week ago.")
@click.option("-o", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the answer.")
@connected
def command(
    connection: Connection, subject: str | None, on: str | None, resource: str | None, missed: bool, since: str | None,
    form: str,
) -> None:  # fmt: skip
    """Explain a run (r12) or a job (etl/load): what it waits for down to the cause, what ended it, why it did not run.

    \b
      apsis why r12                     what it waits for, or what ended it
      apsis why etl/load                when it runs next, and what keeps it
      apsis why etl/load --on friday    why it did not run then
      apsis why --resource db           who holds it, who waits for it
      apsis why --missed --since -1d    which due times did not run
      apsis why                         why nothing starts
    """  # noqa: D301 - click wants the control character
    if len([each for each in (subject, resource, missed or None) if each]) > 1:
        raise click.UsageError("give one of RUN, JOB, --resource and --missed")
    if on is not None and (subject is None or is_run_id(subject)):
        raise click.UsageError("--on goes with a job: apsis why JOB --on friday")
    if since is not None and not missed:
        raise click.UsageError("--since goes with --missed")
    client = connection.client()
    if missed:
        answer = client.missed(start=read_time(since, "since") or "")
    elif subject is None:
        answer = client.why(resource=resource)
    elif is_run_id(subject):
        try:
            answer = client.why(run=subject)
        except NotFound:
            raise no_such_run(client, subject) from None
    else:
        answer = client.why(job=subject, on=_day(on))
        if not answer.get("because") and answer["answer"] == "there is no such job":
            raise no_such_job(client, subject)
    if form == "json":
        click.echo(json.dumps(answer, indent=2))
    else:
        _print(answer)


def _print(answer: Json) -> None:
    click.echo(f"{paint(one_line(answer['subject']), 'bold')}: {one_line(answer['answer'])}")
    _print_reasons(answer.get("because") or [], 1)


def _print_reasons(reasons: list[Json], depth: int) -> None:
    glyphs = has_glyphs(sys.stdout)
    for each in reasons:
        glyph, plain, color = _MARKS[each.get("holds")]
        indent = "  " * depth
        click.echo(f"{indent}{paint(glyph if glyphs else plain, color)}{one_line(each['text'])}")
        if each.get("hint"):
            click.echo(f"{indent}    {paint(one_line(each['hint']), 'grey')}")
        _print_reasons(each.get("because") or [], depth + 1)


def _day(text: str | None) -> str | None:
    """Return a date or a time as REST takes it; a weekday is the latest one, as who asks why asks of the past."""
    if text is None:
        return None
    today = utc_now().astimezone().date()
    word = text.strip().lower()
    if word in ("today", "yesterday"):
        return (today - timedelta(days=word == "yesterday")).isoformat()
    index = next((at for at, name in enumerate(_WEEKDAYS) if len(word) >= 3 and name.startswith(word)), None)
    if index is not None:
        return (today - timedelta(days=(today.weekday() - index) % 7)).isoformat()
    try:
        return date.fromisoformat(word).isoformat()
    except ValueError:
        pass
    found = read_time(text, "on")
    if found is None:
        raise BadRequest("--on is empty", hint="write a date like 2026-06-26, friday or yesterday, or a time")
    return found
