"""What a person reads: a line now and then while it runs, one table in the end, and the story of what went wrong."""

import sqlite3
import statistics
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from apsis.runs.run import LogEntry
from apsis_services.supervisor.zygote.journal import parse_key, read_whole
from apsis_services.supervisor.zygote.records import parse_records
from chaos_monkey.checks import Judgement
from chaos_monkey.killer import Killer
from chaos_monkey.plan import Plan

#: runs whose story is told, and lines of log for each
_STORIES: Final = 8
_LINES: Final = 40
_FAULTS: Final = 60


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def row(what: str, value: object, note: str = "") -> None:
    """Print one line of the table."""
    say(f"  {what:<34} {value!s:>10}   {note}".rstrip())


def table(plan: Plan, judged: Judgement, killer: Killer, repeated: int, took: float) -> None:
    """Print the one table."""
    say("")
    row("runs", len(plan.units), f"over {plan.seconds:.0f} s, {took:.0f} s in all")
    row("blows", killer.done, _by(hit.verb for hit in killer.hits))
    for verb in ("kill", "stop", "sleep"):
        hits = [hit.kind for hit in killer.hits if hit.verb == verb]
        row({"kill": "killed", "stop": "stopped", "sleep": "delayed"}[verb], len(hits), _by(hits))
    points = Counter(hit.point for hit in killer.hits if hit.point)
    row("at points", points.total(), _by(points.elements()))
    row("points not reached in time", len(killer.missed), _by(killer.missed))
    row("requests sent again", repeated)
    row("started once", judged.once)
    row("started twice", judged.count("twice"))
    row("lost", judged.count("lost"))
    row("unfinished", judged.count("unfinished"))
    row("bytes lost", judged.count("bytes"), "runs whose output is not what they printed")
    row("wrong status", judged.count("status"))
    row("other faults", judged.count("other"))
    row("unknown, and said so", judged.unknown, "shim and zygote killed, or the shim around the start")
    row("never started, and said so", judged.never, "shim killed between its claim and the start")
    row("stopped before the start", judged.skipped)
    row("stopped before the first line", judged.early, "by a person, while the interpreter was coming up")
    if late := sorted(judged.lateness):
        spots = [late[min(len(late) - 1, int(len(late) * part))] for part in (0.5, 0.99, 1.0)]
        row("late: p50, p99, max", "", ", ".join(f"{spot:.2f} s" for spot in spots))
    for kind, seconds in sorted(killer.recoveries.items()):
        row(f"{kind} ready again: p50, max", "", f"{statistics.median(seconds):.2f} s, {max(seconds):.2f} s")
    row("seed", plan.seed)


def _by(names: Iterable[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(Counter(names).items()))


def faults(judged: Judgement, killer: Killer, home: Path, database: Path, began_at: float) -> None:
    """Print what went wrong, and the story of the first runs that it went wrong with."""
    say("")
    for fault in judged.faults[:_FAULTS]:
        say(f"{fault.kind}: {fault.run_id} {fault.what}")
    if len(judged.faults) > _FAULTS:
        say(f"... and {len(judged.faults) - _FAULTS} more")
    say(
        "\nblows: "
        + "; ".join(f"{hit.at - began_at:.2f} s {hit.verb} {hit.point or hit.kind} {hit.pid}" for hit in killer.hits)
    )
    for run_id in list(dict.fromkeys(fault.run_id for fault in judged.faults if fault.run_id))[:_STORIES]:
        _story(run_id.partition(",")[0], home, database, began_at)


def _story(run_id: str, home: Path, database: Path, began_at: float) -> None:
    say(f"\n--- {run_id}")
    sql = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=10)
    found = sql.execute("SELECT doc, log FROM run WHERE num = ?", (int(run_id[1:]),)).fetchone()
    events = sql.execute("SELECT id, body FROM event WHERE run_id = ? ORDER BY id", (run_id,)).fetchall()
    sql.close()
    if found:
        say(f"run     {found[0].decode()}")
        for entry in msgspec.json.decode(found[1], type=list[LogEntry]):
            say(f"log     {entry.seq} {entry.at} {entry.actor}: {entry.old} -> {entry.event}: {entry.reason}")
    for number, body in events:
        event = msgspec.json.decode(body)
        say(f"event   {number} {event['at']} {event['actor']}: {event['event']}: {event.get('reason', '')}")
    for path in (home / "spool").rglob("*.j"):
        key = parse_key(path.name)
        if key is not None and key[1] == run_id:
            with path.open("rb") as file:
                for record in parse_records(read_whole(file.fileno()))[0]:
                    say(f"journal {record}")
    for line in (home.parent / "ledger").read_text().splitlines():
        if f" {run_id} " in f"{line} ":
            say(f"ledger  {line}")
    told = 0
    for path in sorted((home / "log").glob("*.log")):
        for line in path.read_text(errors="replace").splitlines():
            if run_id in line.replace('"', " ").replace(",", " ").replace(":", " ").split() and told < _LINES:
                told += 1
                say(f"{path.stem:<7} {line[:300]}")


def progress(seconds: float, ended: int, runs: int, blows: int, *, last: bool = False) -> None:
    """Print how far it is: over the line before on a terminal, now and then elsewhere."""
    text = f"{seconds:5.0f} s  {ended} of {runs} runs ended, {blows} blows dealt"
    if sys.stdout.isatty():
        print(f"\r{text:<70}", end="\n" if last else "", flush=True)
    elif last or int(seconds) % 10 == 0:
        say(text)
