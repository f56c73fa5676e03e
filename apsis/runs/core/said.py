"""What is kept of conditions that are looked at outside of the core: the question, and what was found last."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Question:
    """A condition that is to be looked at until it holds, and the run that waits for it."""

    run_id: str
    #: which of the run's conditions
    index: int
    #: as `read_bound` takes it
    condition: Mapping[str, Any]
    job_id: str
    args: Mapping[str, str]
    schedule_time: str | None


@dataclass(frozen=True, slots=True)
class Said:
    """What was found when a condition was looked at last, and until when a run's log does not tell another finding."""

    text: str
    #: microseconds
    quiet_until: int
    #: how long it is quiet next, microseconds
    quiet: int
