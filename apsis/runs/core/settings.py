"""How far ahead runs are made, how long one waits, when a host counts as away."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from apsis.actions import ScheduleAction


@dataclass(frozen=True, slots=True)
class Settings:
    """Durations in seconds."""

    horizon: float = 86400.0
    #: runs made ahead: for each schedule, and in all (but at least one for each)
    max_ahead: int = 100
    total_ahead: int = 20_000
    #: due times missed by more than this do not run; None: all do
    max_age: float | None = None
    #: longest time in `waiting`; None: for ever
    waiting_max: float | None = None
    #: bytes of output kept where the job says nothing
    max_bytes: int | None = None
    #: a host away for this long has its runs marked unreachable; shorter is a restart
    away_grace: float = 10.0
    #: due times missed by less than this are late, not missed
    late_grace: float = 60.0
    #: what the config has done when any run has ended: runs of other jobs
    actions: tuple[ScheduleAction, ...] = ()
    #: name: how many there are of a resource that jobs ask for
    resources: Mapping[str, int] = field(default_factory=dict)
    #: runs at a time on a host, for each core
    per_core: int = 8
