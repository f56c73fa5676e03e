"""What a job says about the life of its runs: retries, usual run time, and what is kept of the output."""

from dataclasses import dataclass
from typing import Any, Final

from apsis.definitions.fields import Fields, FormError
from apsis.definitions.forms import count, integer, mapping_of, number, one_of, one_or_list
from apsis.times.durations import parse_duration

#: seconds, a century: a delay that grows longer would lead out of what a date can be
_LONGEST: Final = 100 * 365 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """The rule by which a run that ended badly is run again; durations in seconds."""

    count: int
    delay: float = 0.0
    #: by how much each delay is longer than the one before
    backoff: float = 1.0
    max_delay: float | None = None
    on: tuple[str, ...] = ("failure", "error")
    #: None: whatever the exit status
    exit_codes: tuple[int, ...] | None = None

    def delay_before(self, attempt: int) -> float:
        """Return the seconds to wait before a retry; the first is number 1."""
        try:
            delay = self.delay * self.backoff ** (attempt - 1)
        except OverflowError:
            delay = _LONGEST
        return min(delay, _LONGEST if self.max_delay is None else self.max_delay)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """The usual run time in seconds; outside of it an event is raised."""

    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How long outputs are kept: whichever limit comes first. Seconds, runs, bytes."""

    days: float | None = None
    count: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPolicy:
    """How output is taken and kept; None: as the config says."""

    streams: str | None = None
    max_bytes: int | None = None
    keep: Keep | None = None


def read_retry(fields: Fields) -> Retry | None:
    """Take the key `retry`."""
    nested = fields.nested("retry", "retry")
    if nested is None:
        return None
    codes = nested.optional("exit_codes", one_or_list(count), None)
    retry = Retry(
        count=nested.required("count", count),
        delay=nested.optional("delay", parse_duration, 0.0),
        backoff=nested.optional("backoff", _backoff, 1.0),
        max_delay=nested.optional("max_delay", parse_duration, None),
        on=tuple(nested.optional("on", one_or_list(one_of("failure", "error")), ["failure", "error"])),
        exit_codes=None if codes is None else tuple(codes),
    )
    fields.join(nested)
    return retry


def read_expect(fields: Fields) -> Expect | None:
    """Take the key `expect`."""
    nested = fields.nested("expect", "expect")
    if nested is None:
        return None
    expect = Expect(min=nested.optional("min", parse_duration, None), max=nested.optional("max", parse_duration, None))
    if expect.min is not None and expect.max is not None and expect.min > expect.max:
        nested.refuse("min", "is larger than max")
    fields.join(nested)
    return expect


def read_output(fields: Fields) -> OutputPolicy:
    """Take the key `output`."""
    nested = fields.nested("output", "output")
    if nested is None:
        return OutputPolicy()
    keep = None
    if (kept := nested.nested("keep", "output.keep")) is not None:
        keep = Keep(
            days=kept.optional("days", number, None),
            count=kept.optional("count", count, None),
            bytes=kept.optional("bytes", count, None),
        )
        nested.join(kept)
    output = OutputPolicy(
        streams=nested.optional("streams", one_of("merged", "split"), None),
        max_bytes=nested.optional("max_bytes", count, None),
        keep=keep,
    )
    fields.join(nested)
    return output


def read_resources(fields: Fields) -> dict[str, int]:
    """Take the key `resources`: how many of each a run takes."""
    return fields.optional("resources", mapping_of(count), {})


def read_priority(fields: Fields) -> int:
    """Take the key `priority`."""
    return fields.optional("priority", integer, 0)


def _backoff(value: Any) -> float:
    found = number(value)
    if found < 1:
        raise FormError(f"expected a factor from 1 on, got {found:g}")
    return found
