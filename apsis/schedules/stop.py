"""When a run that is still there must be stopped: after a duration, or at the next time of day."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from apsis.definitions.fields import Fields
from apsis.definitions.forms import one_of
from apsis.times.daytimes import parse_daytime, show_daytime
from apsis.times.durations import parse_duration, show_duration
from apsis.times.local import instants
from apsis.times.zones import find_zone

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class StopAfter:
    """Stop a run some seconds after its schedule time."""

    duration: float

    def after(self, schedule_time: datetime) -> datetime:
        """Return when the run due at `schedule_time` stops."""
        return schedule_time + timedelta(seconds=self.duration)

    @property
    def text(self) -> str:
        """What a person reads."""
        return f"stop after {show_duration(self.duration)}"


@dataclass(frozen=True, slots=True)
class StopAt:
    """Stop a run at the next time of day strictly after its schedule time."""

    daytime: time
    zone: ZoneInfo

    def after(self, schedule_time: datetime) -> datetime:
        """Return when the run due at `schedule_time` stops."""
        day = schedule_time.astimezone(self.zone).date() - _DAY
        while True:
            for instant in instants(day, self.daytime, self.zone, "once"):
                if instant > schedule_time:
                    return instant
            day += _DAY

    @property
    def text(self) -> str:
        """What a person reads."""
        return f"stop at {show_daytime(self.daytime)} {self.zone.key}"


StopRule = StopAfter | StopAt


def read_stop(fields: Fields) -> StopRule | None:
    """Return the stop rule that the fields of `stop` give, or None with a finding."""
    kind = fields.required("type", one_of("duration", "daytime"))
    rule: StopRule | None = None
    if kind == "duration":
        rule = StopAfter(fields.required("duration", parse_duration))
    elif kind == "daytime":
        rule = StopAt(fields.required("daytime", parse_daytime), fields.required("tz", find_zone))
    else:
        for key in ("duration", "daytime", "tz"):
            fields.take(key)
    return rule if fields.close() else None
