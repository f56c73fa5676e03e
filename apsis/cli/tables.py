"""The columns of runs and of jobs."""

import sys
from datetime import datetime
from typing import Any, Final

from apsis.cli.forms import Column
from apsis.cli.terminal import has_glyphs
from apsis.cli.words import (
    LOOKS,
    args_cell,
    due_time,
    elapsed_cell,
    end_time,
    shown_zone,
    start_time,
    state_cell,
    time_cell,
)

Json = dict[str, Any]

RUNS: Final = ("state", "id", "job", "args", "sched", "start", "elapsed")
RUNS_WIDE: Final = (*RUNS, "end", "host", "labels", "reason")
JOBS: Final = ("job", "params", "next", "schedule", "description")
JOBS_WIDE: Final = (*JOBS, "program", "labels", "file")
_STYLES: Final = {"grey": "bright_black"}


def run_columns(now: datetime, *, plain: bool) -> list[Column]:
    """Return all columns of runs; `plain`: times in full, as UTC, and states as bare words."""
    glyphs = has_glyphs(sys.stdout)
    zone = "" if plain else f" ({shown_zone(now)})"

    def time(text: str | None) -> str:
        return (text or "") if plain else time_cell(text, now)

    return [
        Column("state", "STATE", lambda run: run["state"] if plain else state_cell(run, glyphs=glyphs), style=_style),
        Column("id", "RUN", lambda run: run["run_id"]),
        Column("job", "JOB", lambda run: run["job_id"], shrinks=True),
        Column("args", "ARGS", lambda run: args_cell(run.get("args") or {}), shrinks=True),
        Column("sched", f"SCHED{zone}", lambda run: time(due_time(run))),
        Column("start", "START", lambda run: time(start_time(run))),
        Column("elapsed", "ELAPSED", lambda run: elapsed_cell(run, now), right=True),
        Column("end", "END", lambda run: time(end_time(run))),
        Column("host", "HOST", lambda run: run.get("host") or ""),
        Column("labels", "LABELS", lambda run: " ".join(run.get("labels") or []), shrinks=True),
        Column("reason", "REASON", lambda run: run.get("reason") or "", shrinks=True),
        Column("rev", "REV", lambda run: str(run.get("rev", ""))),
    ]


def job_columns(now: datetime, *, plain: bool) -> list[Column]:
    """Return all columns of jobs."""
    zone = "" if plain else f" ({shown_zone(now)})"
    return [
        Column("job", "JOB", lambda job: job["job_id"], shrinks=True),
        Column("params", "PARAMS", lambda job: " ".join(job.get("params") or []), shrinks=True),
        Column("next", f"NEXT{zone}", lambda job: (job["next"] or "") if plain else time_cell(job.get("next"), now)),
        Column("schedule", "SCHEDULE", _schedules, shrinks=True),
        Column("description", "DESCRIPTION", lambda job: _first_line(job.get("description")), shrinks=True),
        Column("program", "PROGRAM", lambda job: _first_line(_program(job)), shrinks=True),
        Column("labels", "LABELS", lambda job: " ".join(job.get("labels") or []), shrinks=True),
        Column("file", "FILE", lambda job: job.get("file") or "", shrinks=True),
    ]


def _style(run: Json) -> str:
    look = LOOKS.get(run["state"])
    return _STYLES.get(look.color, look.color) if look else ""


def _schedules(job: Json) -> str:
    texts = [one["text"] + ("" if one.get("enabled", True) else " (off)") for one in job.get("schedules") or []]
    return "; ".join(texts)


def _program(job: Json) -> str:
    program = job.get("program") or {}
    if isinstance(program, str):
        return program
    what = program.get("command") or program.get("argv") or ""
    return what if isinstance(what, str) else " ".join(map(str, what))


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]
