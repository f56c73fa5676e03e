"""Templates: Jinja2 in a sandbox, where a name that is not known is an error. Imported only where there is one."""

import functools
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from apsis.calendars.calendar import Calendar
from apsis.calendars.finder import Calendars
from apsis.jobs.vocabulary import Date, Daytime, Time, TimeZone, from_local, show, to_local
from apsis.programs.templated import BindError
from apsis.schedules.schedule import show_time

#: characters of one expanded text; a command line can be no longer either
_MAX_LENGTH: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the templates of one run may speak of."""

    args: dict[str, str]
    run_id: str
    job_id: str
    schedule_time: datetime | None
    calendars: Calendars


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, in which a short text cannot grow without bounds either."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuse products that would fill the memory."""
        if operator == "**" and (not _small(left, 1 << 64) or not _small(right, 1 << 10)):
            raise SecurityError("the power is too large")
        if operator == "*":
            size = max((len(each) for each in (left, right) if hasattr(each, "__len__")), default=0)
            times = max((each for each in (left, right) if isinstance(each, int)), default=0)
            if size * times > _MAX_LENGTH:
                raise SecurityError("the product is too large")
        return super().call_binop(context, operator, left, right)


def _small(value: Any, limit: int) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= limit


def expand_text(text: str, key: str, names: Names) -> str:
    """Return a text with its templates expanded; one newline at the end goes.

    Raises:
        BindError: a name is not known, or an expression fails.
    """
    try:
        expanded = _compiled(text).render(_globals(names))
    except TemplateSyntaxError as error:
        raise BindError(key, f"template: {error.message} (line {error.lineno} of the text)") from None
    except TemplateError as error:
        raise BindError(
            key, f"template: {error.message}", hint=f"args of this run: {', '.join(names.args) or 'none'}"
        ) from None
    except RecursionError:
        raise BindError(key, "template: is nested too deep") from None
    except Exception as error:  # noqa: BLE001  whatever an expression raises is its author's to read
        raise BindError(key, f"template: {type(error).__name__}: {error}") from None
    if len(expanded) > _MAX_LENGTH:
        raise BindError(key, f"template: expands to more than {_MAX_LENGTH} characters")
    return expanded


def check_text(text: str) -> str | None:
    """Return why a template cannot be compiled, or None where it can."""
    try:
        _compiled(text)
    except TemplateSyntaxError as error:
        return f"template: {error.message} (line {error.lineno} of the text)"
    except (TemplateError, RecursionError) as error:
        return f"template: {error}"
    return None


def _globals(names: Names) -> dict[str, Any]:
    known: dict[str, Any] = {"get_calendar": _calendar_getter(names.calendars)}
    if names.schedule_time is not None:
        known["schedule_time"] = show_time(names.schedule_time)
    # an arg may have the name of a function, and then means the arg
    known |= names.args
    return {**known, "run_id": names.run_id, "job_id": names.job_id, "_calendars": names.calendars}


def _calendar_getter(calendars: Calendars) -> Callable[[str], "_DateCalendar"]:
    return lambda name: _DateCalendar(calendars.get(name))


class _DateCalendar:
    """A calendar as templates have it: takes dates in any form, gives Dates."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar

    def __str__(self) -> str:
        return str(self._calendar)

    def __contains__(self, day: object) -> bool:
        return self._calendar.contains(Date(day).value)

    def contains(self, day: object) -> bool:
        return self._calendar.contains(Date(day).value)

    def before(self, day: object) -> Date:
        return Date(self._calendar.before(Date(day).value))

    def after(self, day: object) -> Date:
        return Date(self._calendar.after(Date(day).value))

    def shift(self, day: object, count: int) -> Date:
        return Date(self._calendar.shift(Date(day).value, count))


@functools.lru_cache(maxsize=4096)
def _compiled(text: str) -> Template:
    return _environment().from_string(text)


@functools.cache
def _environment() -> _Environment:
    from jinja2 import pass_context
    from jinja2.runtime import Context

    @pass_context
    def shift(context: Context, day: object, calendar: str, count: int) -> Date:
        calendars: Calendars = context["_calendars"]
        return _DateCalendar(calendars.get(calendar)).shift(day, count)

    environment = _Environment(undefined=StrictUndefined, autoescape=False, cache_size=0)
    environment.globals.update(
        Date=Date,
        Daytime=Daytime,
        Time=Time,
        TimeZone=TimeZone,
        from_local=from_local,
        to_local=to_local,
        format=show,
    )
    environment.filters.update(date=Date, shift=shift, quote=lambda value: shlex.quote(str(value)))
    return environment
