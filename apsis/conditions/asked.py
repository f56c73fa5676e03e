"""Conditions that somebody must look at: the core asks, a process of its own looks, and says what it found."""

from dataclasses import dataclass, field
from typing import Any, Final

from apsis.definitions.fields import Fields, FormError
from apsis.times.durations import parse_duration, show_duration

#: seconds from one look to the next, where a job does not say
INTERVAL: Final = 10.0
#: seconds that one look may take, where a job does not say
TIMEOUT: Final = 10.0
_SOONEST: Final = 1.0
_LONGEST: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A condition for one run that is looked at outside of the core: a file, an address, a command, a class.

    `keys` are those of the job file, templates expanded. The one who looks knows what they mean by the type, or by
    `path`, the dotted path of a class; a class says itself how often and how long it is looked at.
    """

    #: the word in the job file
    type: str
    keys: dict[str, Any] = field(default_factory=dict)
    #: what a person reads: `/data/prices.csv is there`
    text: str
    interval: float = INTERVAL
    timeout: float = TIMEOUT
    path: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as a run shows it, and as `read_bound` takes it."""
        shown: dict[str, Any] = {"type": self.type, "text": self.text, "keys": self.keys}
        if self.path:
            return {**shown, "path": self.path}
        return {**shown, "interval": self.interval, "timeout": self.timeout}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Asked":
        """Return what `to_json` gave."""
        return cls(**value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a condition is looked at, and how long one look may take; seconds."""

    interval: float = INTERVAL
    timeout: float = TIMEOUT

    @classmethod
    def read(cls, fields: Fields) -> "Pace":
        """Take the keys `interval` and `timeout`."""
        return cls(
            interval=fields.optional("interval", _interval, INTERVAL),
            timeout=fields.optional("timeout", _timeout, TIMEOUT),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what is not as it always is."""
        shown = {}
        if self.interval != INTERVAL:
            shown["interval"] = show_duration(self.interval)
        if self.timeout != TIMEOUT:
            shown["timeout"] = show_duration(self.timeout)
        return shown


def _interval(value: Any) -> float:
    found = parse_duration(value)
    if found < _SOONEST:
        raise FormError(f"expected 1 s or more, got {found:g} s")
    return found


def _timeout(value: Any) -> float:
    found = parse_duration(value)
    if not 0 < found <= _LONGEST:
        raise FormError(f"expected more than 0 s and at most an hour, got {found:g} s")
    return found
