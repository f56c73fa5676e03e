"""Times and durations in a filter: `today`, `-2h..`, `09:00..17:00`, `2026-06-30`, `>2026-06-30T14:00Z`, `>10m`.

A value means a span of time; relative ones are resolved against the time that is given when the filter
is applied, so that a filter which lives for days stays true.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

from apsis.filters.errors import FilterError
from apsis.filters.tokens import Piece

_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile("".join(f"(?:{_NUMBER}{unit})?" for unit in "wdhms"))
_UNITS = (604_800, 86_400, 3600, 60, 1)
_DAYTIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_NAMED_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_FORMS = "write today, tonight, -2h, 14:30, 2026-06-30 or 2026-06-30T14:30Z, alone, as a..b, or after > >= < <="


@dataclass(frozen=True, slots=True)
class Moment:
    """One end of a span. `offset` seconds from now, or a day (and daytime) from today, or a fixed time."""

    kind: str
    fixed: datetime | None = None
    offset: float = 0.0
    daytime: time | None = None

    @property
    def relative(self) -> bool:
        """Whether it depends on the time at which it is asked."""
        return self.fixed is None

    def span(self, now: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
        """Return the first instant of what is named, and the first after it (the same for a point in time)."""
        if self.kind == "fixed":
            assert self.fixed is not None
            return self.fixed, self.fixed
        if self.kind == "offset":
            point = _shifted(now, self.offset)
            return point, point
        today = now.astimezone(zone).date()
        if self.kind == "tonight":
            start = datetime.combine(today, time(18), zone)
            return _utc(start), _utc(datetime.combine(today + timedelta(days=1), time(6), zone))
        if self.kind == "daytime":
            assert self.daytime is not None
            point = _utc(datetime.combine(today, self.daytime, zone))
            return point, point
        day = self.fixed.date() if self.fixed else today + timedelta(days=int(self.offset))
        return _utc(datetime.combine(day, time(), zone)), _utc(datetime.combine(day + timedelta(days=1), time(), zone))


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open span [low, high) of time; an end that is None is open."""

    low: Moment | None
    high: Moment | None
    #: begin after what `low` names, end with what `high` names (a day), or before it
    low_after: bool = False
    high_whole: bool = False
    #: the end itself belongs to it
    high_included: bool = False
    low_excluded: bool = False

    @property
    def relative(self) -> bool:
        """Whether it depends on the time at which it is asked."""
        return any(end is not None and end.relative for end in (self.low, self.high))

    def bounds(self, now: datetime, zone: tzinfo) -> tuple[datetime | None, datetime | None]:
        """Return the instants between which a time must lie: low <= time < high."""
        low = high = None
        tick = timedelta(microseconds=1)
        if self.low is not None:
            start, stop = self.low.span(now, zone)
            low = stop if self.low_after else start
            if self.low_excluded and start == stop:
                low = _later(low, tick)
        if self.high is not None:
            start, stop = self.high.span(now, zone)
            high = stop if self.high_whole else start
            if self.high_included and start == stop:
                high = _later(high, tick)
        return low, high


def read_span(piece: Piece, zone: tzinfo) -> Span:
    """Return the span of time that a value means.

    Raises:
        FilterError: it is no time.
    """
    text = piece.text
    for sign in (">=", "<=", ">", "<"):
        if text.startswith(sign) and not piece.quoted:
            moment = read_moment(piece.cut(len(sign)), zone)
            if sign[0] == ">":
                return Span(moment, None, low_after=sign == ">", low_excluded=sign == ">")
            return Span(None, moment, high_whole=sign == "<=", high_included=sign == "<=")
    if ".." in text:
        index = text.index("..")
        low, high = piece.cut(0, index), piece.cut(index + 2)
        if not low.text and not high.text:
            raise FilterError("a range needs at least one end", piece.span, hint=_FORMS)
        return Span(
            read_moment(low, zone) if low.text else None,
            read_moment(high, zone) if high.text else None,
            high_whole=True,
        )
    moment = read_moment(piece, zone)
    return Span(moment, moment, high_whole=True, high_included=True)


def read_moment(piece: Piece, zone: tzinfo) -> Moment:
    """Return the time that a word means; one without a zone is in `zone`.

    Raises:
        FilterError: it is no time.
    """
    text = piece.text
    if text == "now":
        return Moment("offset")
    if text == "tonight":
        return Moment("tonight")
    if text in _NAMED_DAYS:
        return Moment("day", offset=_NAMED_DAYS[text])
    if text[:1] in {"+", "-"} and (seconds := seconds_of(text[1:])) is not None:
        return Moment("offset", offset=-seconds if text[0] == "-" else seconds)
    try:
        if daytime := _DAYTIME.fullmatch(text):
            hour, minute, second = (int(part or 0) for part in daytime.groups())
            return Moment("daytime", daytime=time(hour, minute, second))
        fixed = datetime.fromisoformat(text)
        if fixed.tzinfo is None:
            fixed = fixed.replace(tzinfo=zone)
        return Moment("day" if _DATE.fullmatch(text) else "fixed", fixed=_utc(fixed) if "T" in text else fixed)
    except (ValueError, OverflowError):
        raise FilterError(f"{text!r} is no time", piece.span, hint=_FORMS) from None


def seconds_of(text: str) -> float | None:
    """Return the seconds of `90s`, `10m`, `1h30m`, `2d` or a plain number; None if it is no duration."""
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text)
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    return sum(float(part) * unit for part, unit in zip(match.groups(), _UNITS, strict=True) if part)


@dataclass(frozen=True, slots=True)
class Amount:
    """A range of seconds, both ends included unless `strict`."""

    low: float = -math.inf
    high: float = math.inf
    strict: bool = False

    def holds(self, seconds: float) -> bool:
        """Tell whether a number of seconds is in the range."""
        return self.low < seconds < self.high if self.strict else self.low <= seconds <= self.high


def read_amount(piece: Piece) -> Amount:
    """Return the range of durations that `>10m`, `<=90s`, `1m..2m` or `5m` (at least) means.

    Raises:
        FilterError: it is no duration.
    """
    text = piece.text
    for sign in (">=", "<=", ">", "<"):
        if text.startswith(sign):
            seconds = _seconds(piece.cut(len(sign)))
            if sign[0] == ">":
                return Amount(low=seconds, strict=sign == ">")
            return Amount(high=seconds, strict=sign == "<")
    if ".." in text:
        index = text.index("..")
        low, high = piece.cut(0, index), piece.cut(index + 2)
        return Amount(_seconds(low) if low.text else -math.inf, _seconds(high) if high.text else math.inf)
    return Amount(low=_seconds(piece))


def _seconds(piece: Piece) -> float:
    seconds = seconds_of(piece.text)
    if seconds is None:
        raise FilterError(f"{piece.text!r} is no duration", piece.span, hint="write e.g. >10m, <90s or 1h30m..2h")
    return seconds


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return moment.replace(tzinfo=UTC)


def _shifted(now: datetime, seconds: float) -> datetime:
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if seconds > 0 else datetime.min.replace(tzinfo=UTC)


def _later(moment: datetime, by: timedelta) -> datetime:
    return _shifted(moment, by.total_seconds())
