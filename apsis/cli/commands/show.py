"""`apsis show`: all that is known of a run or a job."""

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from apsis.cli.connection import Connection, connected
from apsis.cli.finding import is_run_id, no_such_job, no_such_run
from apsis.cli.forms import one_line, print_facts
from apsis.cli.terminal import has_glyphs, paint
from apsis.cli.words import LOOKS, args_cell, duration, elapsed_cell, state_cell, time_cell, utc_now
from apsis.errors import NotFound

if TYPE_CHECKING:
    from apsis.client import Client

Json = dict[str, Any]


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--log", is_flag=True, help="With the action log of a run.")
@click.option("-o", "form", type=click.Choice(["text", "json", "ndjson"]), default="text", help="Form of the answer.")
@connected
def command(connection: Connection, ids: tuple[str, ...], log: bool, form: str) -> None:
    """Show runs (r123) and jobs (etl/load) in full."""
    client = connection.client()
    shown = []
    for name in ids:
        try:
            found = client.run(name) if is_run_id(name) else client.job(name)
        except NotFound:
            raise (no_such_run(client, name) if is_run_id(name) else no_such_job(client, name)) from None
        if is_run_id(name):
            found["version"] = _version(client, name)
        if log and is_run_id(name):
            found["log"] = client.log(name)
        shown.append(found)
    if form == "json":
        click.echo(json.dumps(shown[0] if len(shown) == 1 else shown, indent=2))
        return
    for at, one in enumerate(shown):
        if form == "ndjson":
            click.echo(json.dumps(one))
            continue
        if at:
            click.echo()
        print_run(one) if "run_id" in one else print_job(one)


def print_run(run: Json) -> None:
    """Print a run as names and values."""
    now = utc_now()
    state = paint(state_cell(run, glyphs=has_glyphs(sys.stdout)), LOOKS[run["state"]].color)
    usage = run.get("rusage") or {}
    facts = {
        "run": run["run_id"],
        "job": run["job_id"],
        "args": args_cell(run.get("args") or {}),
        "state": f"{state}  {one_line(run.get('reason') or '')}".rstrip(),
        "schedule": time_cell(run.get("schedule_time"), now, full=True),
        **{name: time_cell(at, now, full=True) for name, at in (run.get("timestamps") or {}).items()},
        "late by": f"{run['late_by']:.3f} s" if run.get("late_by") else "",
        "elapsed": elapsed_cell(run, now),
        "host": run.get("host") or "",
        "pid": str(run.get("pid") or ""),
        "program": _program(run.get("program")),
        "conditions": "\n".join(one_line(json.dumps(one)) for one in run.get("conditions") or []),
        "exit": _exit(run.get("exit")),
        "cpu": f"{usage.get('utime', 0):.2f} s user, {usage.get('stime', 0):.2f} s system" if usage else "",
        "memory": f"{usage.get('maxrss', 0) / 1e6:.1f} MB at most" if usage else "",
        "output": "\n".join(f"{name}: {length} bytes" for name, length in (run.get("outputs") or {}).items()),
        "labels": " ".join(run.get("labels") or []),
        "version": _version_text(run),
        "rerun of": run.get("rerun_of") or "",
        "retry of": f"{run['retry_of']} (retry {run['attempt']})" if run.get("retry_of") else "",
        "reruns": " ".join(run.get("reruns") or []),
    }
    print_facts({name: value for name, value in facts.items() if value})
    for entry in run.get("log", []):
        click.echo(log_line(entry, now))


def print_job(job: Json) -> None:
    """Print a job as names and values."""
    now = utc_now()
    specs = job.get("param_specs") or {}
    facts = {
        "job": job["job_id"],
        "description": (job.get("description") or "").strip(),
        "params": "\n".join(f"{name} {_spec(specs.get(name) or {})}".rstrip() for name in job.get("params") or []),
        "schedules": "\n".join(
            f"{one['text']}  {args_cell(one.get('args') or {})}{'' if one.get('enabled', True) else '  (off)'}".rstrip()
            for one in job.get("schedules") or []
        ),
        "next": time_cell(job.get("next"), now, full=True),
        "program": _program(job.get("program")),
        "conditions": "\n".join(one_line(json.dumps(one)) for one in job.get("conditions") or []),
        "actions": "\n".join(one_line(json.dumps(one)) for one in job.get("actions") or []),
        "successors": "\n".join(one["job_id"] for one in job.get("successors") or []),
        "labels": " ".join(job.get("labels") or []),
        "file": job.get("file") or "",
        "version": (job.get("version") or "")[:12],
        "problems": "\n".join(_problem(one) for one in job.get("problems") or []),
    }
    print_facts({name: value for name, value in facts.items() if value})


def log_line(entry: Json, now: datetime) -> str:
    """Return a line of an action log."""
    old = f"{entry['old']} → " if entry.get("old") else ""
    at = time_cell(entry["at"], now)
    return one_line(f"{at}  {old}{entry['event']}  by {entry['actor']}  {entry.get('reason') or ''}").rstrip()


def _version(client: "Client", run_id: str) -> Json | None:
    """Return the version that a run was bound from, without its definition; None: it is kept no more."""
    try:
        found = client.run_version(run_id)
    except NotFound:
        return None
    return {key: value for key, value in found.items() if key != "definition"}


def _version_text(run: Json) -> str:
    """Return the version of its job that a run was bound from, and in what it differs from today's."""
    short, version = (run.get("job_version") or "")[:12], run.get("version")
    if not short or not version:
        return short
    if version["current"]:
        return f"{short}, today's"
    if version["today"] is None:
        return f"{short}; the job is not loaded today"
    return f"{short}; today's is {version['today'][:12]}, another in {', '.join(version['changes'])}"


def _problem(finding: Json) -> str:
    """Return what keeps the file of a job, as it is now, from being used."""
    place = ":".join(str(finding[key]) for key in ("file", "line", "column") if finding.get(key))
    return one_line(f"{place}: {finding.get('message', '')}; its last good version goes on")


def _spec(spec: Json) -> str:
    words = [f"default {spec['default']!r}" if "default" in spec else "", spec.get("description", "")]
    words.append(f"one of {', '.join(spec['choices'])}" if spec.get("choices") else "")
    return "  ".join(filter(None, words))


def _program(program: Any) -> str:
    if not isinstance(program, dict):
        return str(program or "")
    what = program.get("command") or program.get("argv") or ""
    lines = what if isinstance(what, str) else " ".join(map(str, what))
    more = [f"{key}: {program[key]}" for key in ("user", "cwd") if program.get(key)]
    timeout = program.get("timeout")
    if isinstance(timeout, dict) and isinstance(timeout.get("duration"), int | float):
        more.append(f"timeout: {duration(timeout['duration'])}")
    return "\n".join([f"{program.get('type', '')}: {lines}".rstrip(": "), *more])


def _exit(end: Json | None) -> str:
    if not end:
        return ""
    words = [
        f"status {end['code']}" if end.get("code") is not None else "",
        f"signal {end['signal']}" if end.get("signal") is not None else "",
        end.get("error") or "",
        f"by {end['killed_by']}" if end.get("killed_by") else "",
    ]
    return one_line(", ".join(filter(None, words)))
