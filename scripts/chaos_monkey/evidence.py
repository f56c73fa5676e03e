"""What there is to judge by in the end: the database, the journals, the ledger, and who was met by a blow."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from apsis.messages.events import RunEvent
from apsis.runs.run import Run
from apsis.times import parse_time
from apsis_services.supervisor.zygote.journal import JournalState, parse_key, read_journal
from chaos_monkey.killer import Hit

#: seconds by which what two processes note of one moment may differ
_SLACK: Final = 0.5
#: what the schedules of the plan make ahead for times after it is none of ours
_OURS: Final = "NOT (state = 'scheduled' AND due > ?)"


@dataclass(frozen=True, slots=True)
class Met:
    """Which blows concern a run."""

    #: its shim was killed
    shim: bool = False
    #: a zygote was killed while the run was under way
    zygote: bool = False
    #: its program was killed
    program: bool = False


@dataclass(slots=True)
class Database:
    """All runs as the database has them, and the numbers of their changes as the event journal has them."""

    runs: dict[str, Run] = field(default_factory=dict)
    revs: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))


def read_database(path: Path, until: float) -> Database:
    """Read everything at one moment, but for runs that are due after `until` (seconds since the epoch)."""
    found = Database()
    sql = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        sql.execute("BEGIN")
        for (doc,) in sql.execute(f"SELECT doc FROM run WHERE {_OURS}", (int(until * 1e6),)):
            run = msgspec.json.decode(doc, type=Run)
            found.runs[run.run_id] = run
        for run_id, body in sql.execute("SELECT run_id, body FROM event WHERE run_id IS NOT NULL ORDER BY id"):
            event = msgspec.json.decode(body, type=RunEvent)
            if event.run is not None:
                found.revs[run_id].append(event.run.rev)
    finally:
        sql.close()
    return found


def progress(path: Path, until: float) -> tuple[int, int]:
    """Return how many runs have ended, and how many have not, of those due before `until` (seconds since the epoch)."""
    sql = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        counts = dict(
            sql.execute(f"SELECT finished, count(*) FROM run WHERE {_OURS} GROUP BY finished", (int(until * 1e6),))
        )
    finally:
        sql.close()
    return counts.get(1, 0), counts.get(0, 0)


def read_journals(spool: Path) -> dict[str, JournalState]:
    """Return what the journal of each run says, archived or not."""
    found = {}
    for folder in ("archive", "journals"):
        for path in (spool / folder).rglob("*.j"):
            key = parse_key(path.name)
            if key is not None and (state := read_journal(path)).phase != "none":
                found[key[1]] = state
    return found


def meet(journals: dict[str, JournalState], runs: dict[str, Run], hits: Iterable[Hit]) -> dict[str, Met]:
    """Return run: which of the kills concern it. A pid may have been another's before: the time tells them apart."""
    kills = [hit for hit in hits if hit.verb == "kill"]
    shims = _by_pid(hit for hit in kills if hit.kind == "shim")
    programs = _by_pid(hit for hit in kills if hit.kind == "program")
    zygotes = [hit.at for hit in kills if hit.kind == "zygote"]
    found = {}
    for run_id, state in journals.items():
        claim, run = state.claim, runs.get(run_id)
        if claim is None or run is None:
            continue
        since = parse_time(claim["at"]).timestamp() - _SLACK
        until = _end_of(run)
        found[run_id] = Met(
            shim=_any(shims[claim["pid"]], claim["ticks"], since, until),
            zygote=any(since <= at <= until for at in zygotes),
            program=state.started is not None
            and _any(programs[state.started["pid"]], state.started["ticks"], since, until),
        )
    return found


def _by_pid(hits: Iterable[Hit]) -> defaultdict[int, list[Hit]]:
    found: defaultdict[int, list[Hit]] = defaultdict(list)
    for hit in hits:
        found[hit.pid].append(hit)
    return found


def _any(hits: list[Hit], ticks: int, since: float, until: float) -> bool:
    return any(hit.ticks in (None, ticks) and since <= hit.at <= until for hit in hits)


def _end_of(run: Run) -> float:
    at = run.timestamps.get(run.state.value)
    return parse_time(at).timestamp() + _SLACK if at else float("inf")
