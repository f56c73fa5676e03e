"""`timeout` and `stop` as a job file has them, their durations and signals possibly templates."""

from dataclasses import dataclass
from typing import Any

from apsis.definitions.fields import Fields
from apsis.messages.dispatch import StopPolicy, TimeoutPolicy
from apsis.programs.templated import BindError, Expand, duration_text, has_template, seconds, signal_number, signal_text
from apsis.times.durations import parse_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutSpec:
    """After `duration`, `signal` is sent once."""

    duration: str
    signal: str = "SIGTERM"

    def bind(self, expand: Expand, key: str) -> TimeoutPolicy:
        """Return the timeout of one run; raises BindError."""
        duration = seconds(expand(self.duration, f"{key}.duration"), f"{key}.duration")
        if duration <= 0:
            raise BindError(f"{key}.duration", "a timeout of nothing would end each run at once")
        return TimeoutPolicy(
            duration=duration, signal=signal_number(expand(self.signal, f"{key}.signal"), f"{key}.signal")
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as a job file would have it."""
        return {"duration": self.duration, "signal": self.signal}


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSpec:
    """When a run is stopped, `signal` is sent, and KILL after the grace period."""

    signal: str = "SIGTERM"
    grace_period: str = "60"

    def bind(self, expand: Expand, key: str) -> StopPolicy:
        """Return the stop ladder of one run; raises BindError."""
        return StopPolicy(
            signal=signal_number(expand(self.signal, f"{key}.signal"), f"{key}.signal"),
            grace=seconds(expand(self.grace_period, f"{key}.grace_period"), f"{key}.grace_period"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as a job file would have it."""
        return {"signal": self.signal, "grace_period": self.grace_period}


def read_timeout(fields: Fields) -> TimeoutSpec | None:
    """Take the key `timeout`."""
    nested = fields.nested("timeout", "timeout")
    if nested is None:
        return None
    timeout = TimeoutSpec(
        duration=nested.required("duration", duration_text),
        signal=nested.optional("signal", signal_text, "SIGTERM"),
    )
    plain = not nested.failed and not has_template(timeout.duration)
    if plain and parse_duration(timeout.duration) <= 0:
        nested.refuse("duration", "a timeout of nothing would end each run at once")
    fields.join(nested)
    return timeout


def read_stop(fields: Fields) -> StopSpec:
    """Take the key `stop`."""
    nested = fields.nested("stop", "stop")
    if nested is None:
        return StopSpec()
    stop = StopSpec(
        signal=nested.optional("signal", signal_text, "SIGTERM"),
        grace_period=nested.optional("grace_period", duration_text, "60"),
    )
    fields.join(nested)
    return stop
