"""`apsis test`: what one run of a job would be; needs no service."""

import json
import shlex
from pathlib import PurePosixPath
from typing import Any

import click

from apsis.cli.connection import Connection, connected
from apsis.cli.forms import one_line, print_facts
from apsis.cli.job_dirs import find_job_dir
from apsis.cli.naming import check_args, read_args
from apsis.cli.timing import read_time
from apsis.cli.words import args_cell, utc_now
from apsis.errors import ApsisError


@click.command()
@click.argument("job")
@click.argument("args", nargs=-1, metavar="[NAME=VAL]...")
@click.option("--job-dir", metavar="DIR", help="The job directory; default: the home's own.")
@click.option("--at", metavar="TIME", help="When it is due (`apsis help times`); default: now.")
@click.option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@connected
def command(
    connection: Connection, job: str, args: tuple[str, ...], job_dir: str | None, at: str | None, form: str
) -> int:  # fmt: skip
    """Expand one run of JOB and show it: command, names of variables, conditions, actions, next times.

    \b
      apsis test etl/load date=2026-06-30
      apsis test etl/load date=2026-06-30 --job-dir jobs/ -o json
    """  # noqa: D301 - click wants the control character
    from apsis.checking.expansion import expand_run, find_job
    from apsis.definitions.finding import ERROR
    from apsis.jobs.ids import job_id_of
    from apsis.jobs.load import load_jobs
    from apsis.jobs.parse import job_json
    from apsis.times.instants import parse_time

    given = read_args(args)
    due = read_time(at, "--at")
    loaded = load_jobs(find_job_dir(connection, job_dir).path)
    wrong = [
        str(each) for each in loaded.errors if each.severity == ERROR and job_id_of(PurePosixPath(each.file)) == job
    ]
    if wrong:
        raise ApsisError(f"job {job!r} cannot be loaded", hint="\n".join(wrong))
    chosen = find_job(loaded.jobs, job)
    check_args(job_json(chosen), given)
    found = expand_run(chosen, given, parse_time(due) if due else utc_now(), loaded.jobs)
    if form == "json":
        click.echo(json.dumps(found, indent=2))
    else:
        print_facts(_facts(found))
    return 0


def _facts(found: dict[str, Any]) -> dict[str, str]:
    program = found["program"]
    facts = {"job": one_line(found["job_id"]), "args": one_line(args_cell(found["args"])) or "none"}
    facts["program"] = program["type"]
    if "command" in program:
        facts["command"] = program["command"]
    if "argv" in program:
        facts["argv"] = one_line(shlex.join(program["argv"]))
    left_out = ("type", "command", "argv", "env")
    facts |= {key: _value(value) for key, value in program.items() if key not in left_out}
    facts["environment"] = "\n".join(found["environment"]) or "none"
    facts["resources"] = ", ".join(f"{name}: {count}" for name, count in found["resources"].items()) or "none"
    facts["conditions"] = "\n".join(one_line(each["text"]) for each in found["conditions"]) or "none"
    facts["actions"] = "\n".join(_action(each) for each in found["actions"]) or "none"
    facts["schedules"] = "\n".join(line for each in found["schedules"] for line in _schedule(each)) or "none"
    return facts


def _value(value: Any) -> str:
    return one_line(value if isinstance(value, str) else json.dumps(value))


def _action(action: dict[str, Any]) -> str:
    rest = {key: value for key, value in action.items() if key != "type"}
    return one_line(f"{action['type']} {json.dumps(rest)}")


def _schedule(schedule: dict[str, Any]) -> list[str]:
    if not schedule["enabled"]:
        return [f"{schedule['text']} (not enabled)"]
    lines = [schedule["text"], f"  next: {', '.join(schedule['next']) or 'never'}"]
    if schedule["next_with_args"] != schedule["next"]:
        lines.append(f"  next with these args: {', '.join(schedule['next_with_args']) or 'not among the next 1,000'}")
    return lines
