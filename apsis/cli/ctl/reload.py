"""`apsisctl reload`: read the job directory again."""

import json
from datetime import datetime
from typing import Any

import click

from apsis.cli.connection import local_client
from apsis.cli.ctl.home_option import home_option
from apsis.cli.terminal import note
from apsis.cli.words import time_cell, utc_now
from apsis.home import Home

#: runs, and keys of one job, that are named
_NAMED = 10


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--force", is_flag=True, help="Also if it would remove many jobs.")
@click.option("-o", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the answer.")
@home_option
def command(home: Home, dry_run: bool, force: bool, form: str) -> int:
    """Read the job files again; a broken file is reported, and its last good version stays.

    They are also read whenever one of them was changed. Ends with status 1 where a file has errors.
    """
    answer = local_client(home).reload(dry_run=dry_run, force=force)
    errors = [each for each in answer.get("errors", []) if each.get("severity", "error") == "error"]
    if form == "json":
        click.echo(json.dumps(answer, indent=2))
        return 1 if errors else 0
    _print_jobs(answer, "would be " if dry_run else "")
    _print_runs(answer.get("runs") or {}, "would be " if dry_run else "", utc_now())
    _note_findings(answer)
    if answer.get("held"):
        note(f"this would be held: {answer['held']}; it needs --force")
    if not answer.get("errors") and not any(answer.get(word) for word in ("added", "changed", "removed")):
        click.echo("nothing has changed")
    return 1 if errors else 0


def _print_jobs(answer: dict[str, Any], would: str) -> None:
    keys = answer.get("keys") or {}
    for word in ("added", "changed", "removed"):
        for job_id in answer.get(word, []):
            what = f"  {_some(keys[job_id])}" if word == "changed" and keys.get(job_id) else ""
            click.echo(f"{would}{word}  {job_id}{what}")


def _print_runs(runs: dict[str, Any], would: str, now: datetime) -> None:
    """Print what becomes of the runs that were made ahead for the jobs that change."""
    made = [f"{one['job_id']} {time_cell(one['schedule_time'], now)}" for one in runs.get("made_runs", [])]
    named = {"withdrawn": runs.get("withdrawn_ids", []), "kept": runs.get("kept_ids", []), "made": made}
    for word, words in named.items():
        if count := runs.get(word, 0):
            click.echo(f"{would}{word}  {'1 run' if count == 1 else f'{count} runs'}: {_some(words, count)}")


def _note_findings(answer: dict[str, Any]) -> None:
    errors = answer.get("errors", [])
    for finding in errors:
        place = ":".join(str(finding[key]) for key in ("file", "line", "column") if finding.get(key))
        note(f"{place}: {finding.get('message', '')}")
    if answer.get("errors_in_all", 0) > len(errors):
        note(f"{answer['errors_in_all'] - len(errors)} more findings; `apsis check` shows all")
    for job_id in answer.get("last_good", []):
        note(f"{job_id}: its last good version goes on")


def _some(words: list[str], in_all: int | None = None) -> str:
    in_all = len(words) if in_all is None else in_all
    more = f", and {in_all - len(words[:_NAMED])} more" if in_all > len(words[:_NAMED]) else ""
    return ", ".join(words[:_NAMED]) + more
