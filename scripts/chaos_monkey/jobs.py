"""The job files of a storm: what is submitted, and the schedules of what becomes due by itself."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from chaos_monkey import program
from chaos_monkey.plan import Unit

MERGED, SPLIT = "chaos/merged", "chaos/split"
#: schedules in one job file
_SCHEDULES: Final = 40
#: seconds from TERM to KILL; short, so that a program which ignores TERM holds nothing up
GRACE: Final = 1.0


def definition(ledger: Path, *, split: bool) -> dict[str, Any]:
    """Return the job whose program does what its arg `plan` says."""
    argv = [sys.executable, "-I", "-S", program.__file__, str(ledger), "{{ plan }}"]
    return {
        "params": ["plan"],
        "program": {"type": "program", "argv": argv, "stop": {"signal": "TERM", "grace_period": GRACE}},
        "output": {"streams": "split" if split else "merged"},
    }


def submitted(ledger: Path) -> dict[str, str]:
    """Return the jobs that runs are submitted of, as texts by id. JSON is YAML."""
    return {
        MERGED: msgspec.json.encode(definition(ledger, split=False)).decode(),
        SPLIT: msgspec.json.encode(definition(ledger, split=True)).decode(),
    }


def write_schedules(folder: Path, ledger: Path, units: Iterable[Unit], began: float) -> list[str]:
    """Write job files with one schedule for each unit; returns their ids. `began`: seconds since the epoch."""
    made = []
    for split in (False, True):
        chosen = [unit for unit in units if unit.split is split]
        for first in range(0, len(chosen), _SCHEDULES):
            name = f"chaos/due-{'split' if split else 'merged'}-{first // _SCHEDULES}"
            some = chosen[first : first + _SCHEDULES]
            job = definition(ledger, split=split) | {"schedule": [_schedule(unit, began) for unit in some]}
            (folder / f"{name}.yaml").write_bytes(msgspec.json.encode(job))
            made.append(name)
    return made


def moment(seconds: float) -> str:
    """Return a time, in seconds since the epoch, as REST and job files take it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _schedule(unit: Unit, began: float) -> dict[str, Any]:
    # on this day of the week alone: the next one comes in a week, when nobody is here any more
    due = datetime.fromtimestamp(began + unit.at, UTC)
    daytime = due.time().isoformat(timespec="milliseconds")
    return {"type": "daily", "tz": "UTC", "daytime": daytime, "calendar": f"{due:%a}", "args": {"plan": unit.words}}
