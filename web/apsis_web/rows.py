"""A run in the cache: its JSON as it goes out, and the few facts by which it is found and ordered."""

import sys
from dataclasses import dataclass
from typing import Final

import msgspec

from apsis.filters.facts import RunFacts, StoredRun
from apsis.messages.body import encode
from apsis.runs.run import Run
from apsis.runs.states import FINISHED, State
from apsis.times import parse_time, to_micros
from apsis_web.database import Order, Stored

_facts: Final = msgspec.json.Decoder(StoredRun)
_STATES: Final = {str(state): state for state in State}


@dataclass(frozen=True, slots=True)
class Row:
    """A run. `order` is (time key in µs, number), by which all lists of runs are sorted."""

    order: Order
    job_id: str
    state: State
    #: id of the last event that changed it; 0: earlier than what is remembered
    seq: int
    #: number of this very form of the row, growing with each change in this process
    version: int
    data: bytes

    @property
    def num(self) -> int:
        """123 of r123."""
        return self.order[1]

    @property
    def run_id(self) -> str:
        """As people write it."""
        return f"r{self.order[1]}"

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in FINISHED

    def facts(self) -> StoredRun:
        """Decode what filters read; 2 µs, so it is done anew each time instead of kept."""
        return _facts.decode(self.data)


def number_of(run_id: str) -> int | None:
    """Return 123 for `r123`, None for what is no run id."""
    digits = run_id[1:]
    if run_id[:1] != "r" or not digits.isascii() or not digits.isdigit() or len(digits) > 15 or digits[0] == "0":
        return None
    return int(digits)


def time_key(run: RunFacts) -> int:
    """Return the time by which a run is ordered, µs: its schedule time, else its first timestamp."""
    if run.schedule_time is not None:
        return to_micros(parse_time(run.schedule_time))
    return to_micros(parse_time(min(run.timestamps.values()))) if run.timestamps else 0


def row_of_run(run: Run, seq: int, version: int) -> Row:
    """Return the row of a run that an event brought."""
    num = number_of(run.run_id)
    if num is None:
        raise ValueError(f"{run.run_id!r} is no run id")
    order = (time_key(run), num)
    return Row(order, sys.intern(run.job_id), run.state, seq, version, encode(run))


def row_of_stored(stored: Stored, seq: int, version: int) -> Row:
    """Return the row of a run that the database holds."""
    facts = _facts.decode(stored.doc)
    return Row(stored.order, sys.intern(facts.job_id), _STATES[facts.state], seq, version, stored.doc)
