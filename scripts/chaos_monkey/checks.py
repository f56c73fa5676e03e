"""The whole installation after the storm: each run by itself, and what holds for all of them together."""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from apsis.runs.run import Run
from apsis.runs.states import FINISHED
from apsis_services.supervisor.zygote.journal import JournalState
from chaos_monkey.evidence import Database, Met
from chaos_monkey.ledger import Ledger, Notes
from chaos_monkey.plan import Unit
from chaos_monkey.rest import Rest
from chaos_monkey.targets import command_line
from chaos_monkey.traffic import Asked
from chaos_monkey.verdict import Case, Fault, is_never, is_unknown, judge

#: seconds that output may be on its way to the store after its run has ended
_OUTPUT: Final = 20.0
_READERS: Final = 4
_NUMBER: Final = re.compile(r"n=(\d+) ")


@dataclass(slots=True)
class Judgement:
    """What was found."""

    faults: list[Fault] = field(default_factory=list)
    once: int = 0
    #: honestly unknown; never started, and said so; skipped because a stop came first
    unknown: int = 0
    never: int = 0
    skipped: int = 0
    #: stopped by a person between the start of its program and the program's first line
    early: int = 0
    lateness: list[float] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """Return how many runs (or other things) have a fault of a kind."""
        return len({fault.run_id or fault.what for fault in self.faults if fault.kind == kind})


class Checker:
    """Judges every planned run."""

    def __init__(self, rest: Rest, database: Database, ledger: Ledger, met: dict[str, Met], asked: Asked) -> None:
        self._rest = rest
        self._database = database
        self._ledger = ledger
        self._met = met
        self._asked = asked
        self._runs_of: defaultdict[int, list[Run]] = defaultdict(list)
        for run in database.runs.values():
            number = _NUMBER.match(run.args.get("plan", ""))
            if number:
                self._runs_of[int(number[1])].append(run)

    def judge(self, units: list[Unit]) -> Judgement:
        """Judge each planned run, and that there are no others; where one is wrong, once more a little later."""
        found = Judgement()
        cases: list[tuple[Unit, Run]] = []
        for unit in units:
            runs = self._runs_of[unit.number]
            if not runs:
                found.faults.append(Fault("lost", "", f"unit {unit.number} ({unit.how}, at {unit.at} s) is no run"))
            elif len(runs) > 1:
                ids = ", ".join(run.run_id for run in runs)
                found.faults.append(Fault("twice", ids, f"unit {unit.number} ({unit.how}) is {len(runs)} runs"))
            cases += [(unit, run) for run in runs]
        with ThreadPoolExecutor(_READERS) as pool:
            for faults in pool.map(lambda case: self._judge_one(*case), cases):
                found.faults += faults
        for _, run in cases:
            starts = len(self._ledger.notes.get(run.run_id, Notes()).pids)
            found.once += starts == 1
            found.early += not starts and not is_unknown(run) and not is_never(run) and run.run_id in self._asked.acts
            found.unknown += is_unknown(run)
            found.never += is_never(run) and run.state.value == "error"
            found.skipped += run.state.value == "skipped"
            if run.late_by is not None:
                found.lateness.append(run.late_by)
        strangers = set(self._ledger.notes) - set(self._database.runs)
        found.faults += [Fault("lost", run_id, "it has run, and is not in the database") for run_id in strangers]
        found.faults += [Fault("other", "", text) for text in self._asked.refusals]
        return found

    def _judge_one(self, unit: Unit, run: Run) -> list[Fault]:
        deadline = time.monotonic() + _OUTPUT
        while True:
            notes = self._ledger.notes.get(run.run_id, Notes())
            met = self._met.get(run.run_id, Met())
            outputs = {stream: self._output(run.run_id, stream) for stream in unit.sizes}
            faults = judge(Case(unit, run, notes, met, self._asked.acts.get(run.run_id), outputs))
            if not any(fault.kind == "bytes" for fault in faults) or time.monotonic() > deadline:
                return faults + self._shown(run)
            time.sleep(1.0)

    def _output(self, run_id: str, stream: str) -> bytes:
        status, data = self._rest.get(f"/runs/{run_id}/output/{quote(stream)}")
        return data if status == 200 else b""

    def _shown(self, run: Run) -> list[Fault]:
        """Compare a finished run with what the web shows: it lives by events, and must have missed none."""
        if run.state not in FINISHED:
            return []
        _, data = self._rest.get(f"/runs/{run.run_id}")
        shown: dict[str, Any] = msgspec.json.decode(data)
        shown = shown.get("run", shown)
        if (shown.get("state"), shown.get("rev")) == (run.state.value, run.rev):
            return []
        what = (
            f"web shows rev {shown.get('rev')} ({shown.get('state')}); the database has {run.rev} ({run.state.value})"
        )
        return [Fault("other", run.run_id, what)]


def revisions(database: Database) -> Iterator[Fault]:
    """Say where a run's changes are not numbered 1, 2, 3, ... in the event journal up to what the run itself says."""
    for run_id, run in database.runs.items():
        revs = database.revs[run_id]
        if revs != list(range(1, run.rev + 1)):
            yield Fault("other", run_id, f"its events have the numbers {revs}, and the run has {run.rev}")


def logs(folder: Path) -> Iterator[Fault]:
    """Say which service has logged something that it did not foresee."""
    for path in sorted(folder.glob("*.log")):
        text = path.read_text(errors="replace")
        seen = Counter(line for line in text.splitlines() if _is_unforeseen(line))
        for line, count in seen.items():
            yield Fault("other", "", f"{path.name}: {count} times: {line[:1000]}")
        at = text.find("Traceback")
        if at >= 0 and not seen:
            yield Fault("other", "", f"{path.name}: {text[max(0, at - 200) : at + 1500]}")


def _is_unforeseen(line: str) -> bool:
    return any(word in line for word in ("adoption_failed", "shim_failed", "bad_message", "journal_held"))


def left_processes(pids: list[int], what: str) -> Iterator[Fault]:
    """Say which processes are left that should have ended."""
    for pid in pids:
        yield Fault("other", "", f"{what}: process {pid} is left: {command_line(pid)}")


def unsettled(journals: dict[str, JournalState]) -> Iterator[Fault]:
    """Say which journals are held though every run has ended."""
    for run_id, state in journals.items():
        if not state.settled and state.locked:
            yield Fault("other", run_id, f"its journal is still held, in {state.phase!r}")
