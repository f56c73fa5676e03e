"""Schedule types by their names, and the reading of the key `schedule`. A type's module is imported when it is used."""

from dataclasses import dataclass
from typing import Any, Final, Protocol

from apsis.calendars.finder import Calendars
from apsis.definitions.fields import Fields, FormError, shown
from apsis.definitions.forms import boolean, calendar_date, mapping_of, name, one_of, text
from apsis.definitions.kinds import find_kind
from apsis.definitions.nearest import did_you_mean
from apsis.definitions.plain import plain
from apsis.schedules.schedule import Schedule, Terms
from apsis.schedules.stop import read_stop
from apsis.times.durations import parse_duration

#: name: module and class. A further type is one more line.
TYPES: Final = {
    "interval": "apsis.schedules.interval:IntervalSchedule",
    "daily": "apsis.schedules.daily:DailySchedule",
    "daily-interval": "apsis.schedules.daily_interval:DailyIntervalSchedule",
    "explicit": "apsis.schedules.explicit:ExplicitSchedule",
    "cron": "apsis.schedules.cron:CronSchedule",
}
#: what reads the classes that users bring
CUSTOM: Final = "apsis.schedules.custom:CustomSchedule"
#: a week; more is no jitter but another schedule
_MOST_JITTER: Final = 7 * 86400.0


class ScheduleType(Protocol):
    """What a schedule class has for the registry."""

    def read(
        self, fields: Fields, terms: Terms, definition: dict[str, Any], seed: str, calendars: Calendars
    ) -> Schedule:
        """Take the keys of the type."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What schedules of one job are read with."""

    job_id: str
    calendars: Calendars


def read_schedules(fields: Fields, params: dict[str, Any], context: Context) -> tuple[Schedule, ...]:
    """Take the key `schedule`: a mapping, a list of them, or null."""
    value = fields.take("schedule")
    if value is None:
        return ()
    listed = isinstance(value, list)
    found: list[Schedule] = []
    seen: dict[str, int] = {}
    for index, item in enumerate(value if listed else [value]):
        path = ("schedule", index) if listed else ("schedule",)
        if not isinstance(item, dict):
            fields.refuse("schedule", f"expected a mapping with `type`, got {shown(item)}", subpath=path[1:])
            continue
        entry = Fields(item, (*fields.path, *path), fields.findings, "the schedule")
        # a type of its own may have a key `start` too
        paired = "start" in item and "type" not in item
        schedule = _read_pair(entry, params, context) if paired else _read_one(entry, params, context, item)
        if schedule is None:
            fields.failed = True
        elif schedule.key in seen:
            fields.refuse(
                "schedule",
                f"is the same as number {seen[schedule.key] + 1}; leave one out, or give each a `name` of its own",
                code="duplicate",
                subpath=path[1:],
            )
        else:
            seen[schedule.key] = index
            found.append(schedule)
    return tuple(found)


def _read_pair(entry: Fields, params: dict[str, Any], context: Context) -> Schedule | None:
    """Read the form `{start: schedule, stop: stop}`."""
    start, stop = entry.nested("start", "the schedule"), entry.nested("stop", "stop")
    rule = read_stop(stop) if stop is not None else None
    schedule = _read_one(start, params, context, entry.value, rule) if start is not None else None
    good = entry.close() and (stop is None or rule is not None)
    return schedule if good else None


def _read_one(
    entry: Fields, params: dict[str, Any], context: Context, definition: dict[str, Any], stop: Any = None
) -> Schedule | None:
    kind: ScheduleType | None = find_kind(entry, "schedule", TYPES, CUSTOM)
    if kind is None:
        return None
    terms = _read_terms(entry, params, context, stop)
    schedule = kind.read(entry, terms, plain(definition), context.job_id, context.calendars)
    return schedule if entry.close() else None


def _read_terms(entry: Fields, params: dict[str, Any], context: Context, stop: Any) -> Terms:
    args = entry.optional("args", mapping_of(text), {})
    for arg in args:
        if arg not in params:
            known = f"; its params: {', '.join(params)}" if params else "; it has none"
            entry.refuse("args", f"the job has no param {arg!r}{did_you_mean(arg, params)}{known}", subpath=(arg,))
        elif (why := params[arg].wrong(args[arg])) is not None:
            entry.refuse("args", f"{arg}: {why}", subpath=(arg,))
    terms = Terms(
        enabled=entry.optional("enabled", boolean, True),
        args=args,
        name=entry.optional("name", name, None),
        dst=entry.optional("dst", one_of("once", "skip", "twice"), "once"),
        catch_up=entry.optional("catch_up", one_of("all", "last", "none"), "all"),
        max_age=entry.optional("max_age", parse_duration, None),
        start_date=entry.optional("start_date", calendar_date, None),
        end_date=entry.optional("end_date", calendar_date, None),
        excepted=entry.optional("except", context.calendars.parse, None),
        jitter=entry.optional("jitter", _jitter, 0.0),
        late_after=entry.optional("late_after", parse_duration, None),
        stop=stop,
    )
    if terms.start_date and terms.end_date and terms.start_date > terms.end_date:
        entry.refuse("end_date", f"is before start_date ({terms.start_date})")
    return terms


def _jitter(value: Any) -> float:
    seconds = parse_duration(value)
    if seconds > _MOST_JITTER:
        raise FormError(f"expected at most {_MOST_JITTER // 86400:g} days, got {shown(value)}")
    return seconds
