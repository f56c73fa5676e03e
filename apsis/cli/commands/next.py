"""`apsis next`: what will run, with when it will probably end, and what would change with another job directory."""

import json
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from apsis.cli.connection import Connection, connected
from apsis.cli.filtering import pointing_at
from apsis.cli.forms import Column, chosen_columns, columns_option, form_option, one_line, print_rows
from apsis.cli.job_dirs import find_job_dir
from apsis.cli.terminal import note, paint
from apsis.cli.timing import read_time
from apsis.cli.words import args_cell, duration, shown_zone, time_cell, utc_now
from apsis.errors import BadRequest
from apsis.times import format_time, parse_time

if TYPE_CHECKING:
    from apsis.explaining.forecast import Foretold
    from apsis.jobs.job import Job

Json = dict[str, Any]
Window = tuple[datetime, datetime]

_STANDARD: Final = ("sched", "job", "args", "takes", "end", "notes")
_WIDE: Final = ("sched", "id", "job", "args", "takes", "end", "stop", "schedule", "notes")
_MOST: Final = 1_000


@click.command()
@click.argument("query", nargs=-1)
@click.option("--job-dir", "directory", metavar="DIR", help="Of a job directory that is not live; needs no server.")
@click.option("--from", "start", metavar="TIME", help="From when on; default: now.")
@click.option("--until", metavar="TIME", help="Until when: tomorrow 06:00, +2d; default: 24 h later.")
@click.option("--limit", default=100, show_default=True, metavar="N", help="How many at most.")
@click.option("--diff", is_flag=True, help="With --job-dir: what it would change of what is live.")
@columns_option
@form_option
@connected
def command(
    connection: Connection, query: tuple[str, ...], directory: str | None, start: str | None, until: str | None,
    limit: int, diff: bool, columns: str | None, form: str,
) -> None:  # fmt: skip
    """List the runs to come that match QUERY, in order of time.

    \b
      apsis next                               the next 24 hours
      apsis next job:etl/ --until "+7d"        a week of some jobs
      apsis next --job-dir jobs/ -o json       of a directory, without any service
      apsis next --job-dir jobs/ --diff        what would change if that were live
    """  # noqa: D301 - click wants the control character
    if diff and directory is None:
        raise click.UsageError("--diff compares with what is live: name a directory by --job-dir")
    if not 1 <= limit <= _MOST:
        raise click.UsageError(f"--limit must be from 1 to {_MOST}")
    window = _window(start, until)
    text = " ".join(query)
    if diff and directory is not None:
        _print_difference(_difference(connection, directory, window, text), form)
        return
    with pointing_at(text):
        if directory is not None:
            answer = _of_directory(connection, directory, window, text, limit)
        else:
            client = connection.client()
            answer = client.forecast(format_time(window[0]), format_time(window[1]), q=text, limit=limit)
    plain = form == "plain"
    standard = _WIDE if form in ("wide", "plain") else _STANDARD
    print_rows(form, answer["runs"], chosen_columns(_columns(utc_now(), plain=plain), columns, standard), "job_id")
    _print_notes(answer, form)


def _window(start: str | None, until: str | None) -> Window:
    first, last = read_time(start, "from"), read_time(until, "until")
    begin = parse_time(first) if first else utc_now()
    end = parse_time(last) if last else begin + timedelta(days=1)
    if end < begin:
        raise BadRequest("--until lies before --from", hint="write the later time as --until")
    return begin, end


def _of_directory(connection: Connection, directory: str, window: Window, text: str, limit: int) -> Json:
    import msgspec

    from apsis.explaining.conflicts import find_conflicts

    found, jobs, resources = _foretell(connection, directory, window, text, limit)
    find_conflicts(found.all, jobs, resources)
    answer: Json = msgspec.to_builtins(found.forecast)
    return answer


def _foretell(
    connection: Connection, directory: str, window: Window, text: str, limit: int
) -> tuple["Foretold", "Mapping[str, Job]", Mapping[str, int]]:
    """Return the runs of a directory's jobs; what is wrong with its files is said on stderr."""
    from apsis.explaining import forecast as foretelling
    from apsis.filters import parse
    from apsis.jobs.load import load_jobs

    place = find_job_dir(connection, directory)
    loaded = load_jobs(place.path)
    for finding in loaded.errors:
        if finding.severity == "error":
            note(paint(one_line(str(finding)), "red", sys.stderr))
    asked = foretelling.Window(
        start=window[0], end=window[1], limit=limit, filter=parse(text) if text else None, now=utc_now()
    )
    resources = place.resources if place.resources is not None else _any_resources(loaded.jobs)
    return foretelling.forecast(loaded.jobs, foretelling.Made(), asked), loaded.jobs, resources


def _any_resources(jobs: Mapping[str, "Job"]) -> dict[str, int]:
    """Return so much of each resource that nobody lacks any: no config says how much there is."""
    found: dict[str, int] = {}
    for job in jobs.values():
        for name in job.resources:
            found[name] = sys.maxsize
    return found


def _difference(connection: Connection, directory: str, window: Window, text: str) -> Json:
    import msgspec

    from apsis.explaining.differences import compare
    from apsis.explaining.forecast import Forecast

    # what is due while we ask is in neither
    begin = max(window[0], utc_now() + timedelta(seconds=5))
    live = connection.client().forecast(format_time(begin), format_time(window[1]), q=text, limit=_MOST)
    now = msgspec.convert({key: live[key] for key in ("runs", "left_out", "cut_at")}, Forecast)
    then = _foretell(connection, directory, (begin, window[1]), text, _MOST)[0].forecast
    cut = min(filter(None, (now.cut_at, then.cut_at)), default=None)
    if cut is not None:
        note(f"only what is due before {cut} is compared; narrow it by --until or a filter")
        now.runs = [each for each in now.runs if each.schedule_time < cut]
        then.runs = [each for each in then.runs if each.schedule_time < cut]
    paused = {each.job_id for each in now.left_out}
    # a paused job makes no runs whatever its file says
    then.runs = [each for each in then.runs if each.job_id not in paused and "" not in paused]
    made_by_hand = [each for each in now.runs if each.schedule is None]
    before = [each for each in now.runs if each not in made_by_hand]
    found: Json = msgspec.to_builtins(compare(before, then.runs))
    return found


def _print_difference(found: Json, form: str) -> None:
    if form == "json":
        click.echo(json.dumps(found, indent=2))
        return
    now = utc_now()
    lines = [("+", "green", run, time_cell(run["schedule_time"], now, full=True)) for run in found["added"]]
    lines += [("-", "red", run, time_cell(run["schedule_time"], now, full=True)) for run in found["removed"]]
    for run in found["moved"]:
        times = f"{time_cell(run['before'], now, full=True)} -> {time_cell(run['after'], now, full=True)}"
        lines.append(("~", "yellow", run, times))
    lines.sort(key=lambda line: str(line[2].get("schedule_time") or line[2].get("before")))
    for mark, color, run, times in lines:
        click.echo(paint(one_line(f"{mark} {times}  {run['job_id']} {args_cell(run['args'])}".rstrip()), color))
    counts = ", ".join(f"{len(found[word])} {word}" for word in ("added", "removed", "moved"))
    note(counts if lines else "nothing would run at another time")


def _print_notes(answer: Json, form: str) -> None:
    for each in answer["left_out"]:
        note(paint(f"left out: {each['job_id']}: {each['reason']}", "yellow", sys.stderr))
    if form in ("table", "wide", "plain"):
        if answer["cut_at"]:
            note(f"there is more, from {answer['cut_at']} on: --limit, --until or a filter")
        elif not answer["runs"] and form != "plain":
            note("nothing will run then")


def _columns(now: datetime, *, plain: bool) -> list[Column]:
    zone = "" if plain else f" ({shown_zone(now)})"

    def time(text: str | None) -> str:
        return (text or "") if plain else time_cell(text, now)

    return [
        Column("sched", f"SCHED{zone}", lambda run: time(run["schedule_time"])),
        Column("id", "RUN", lambda run: run.get("run_id") or ""),
        Column("job", "JOB", lambda run: run["job_id"], shrinks=True),
        Column("args", "ARGS", lambda run: args_cell(run["args"]), shrinks=True),
        Column("takes", "TAKES", _takes, right=True),
        Column("end", "END", lambda run: time(run.get("expected_end"))),
        Column("stop", "STOP", lambda run: time(run.get("stop_time"))),
        Column("schedule", "SCHEDULE", lambda run: run.get("schedule") or ""),
        Column("notes", "NOTES", _notes, style=lambda run: "yellow" if _notes(run) else "", shrinks=True),
    ]


def _takes(run: Json) -> str:
    return duration(run["duration"]) if run.get("duration") is not None else ""


def _notes(run: Json) -> str:
    return "; ".join([*([run["wrong"]] if run.get("wrong") else []), *(each["text"] for each in run["conflicts"])])
