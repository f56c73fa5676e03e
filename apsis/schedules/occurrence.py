"""One due time of a schedule, and what the schedule offers to the run that is made for it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A due time (UTC, whole milliseconds), and the args that its schedule offers; the binder cuts them to `params`."""

    time: datetime
    offered: dict[str, str]
