"""Templates: Jinja2 in a sandbox, where a name that is not known is an error. Imported only where there is one."""

import functools
import shlex
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from jinja2 import Template, TemplateError, TemplateSyntaxError
from jinja2.meta import find_undeclared_variables

from apsis.calendars.calendar import Calendar
from apsis.calendars.finder import Calendars
from apsis.jobs.sandbox import MAX_LENGTH, Sandbox, limited
from apsis.jobs.simple_templates import pieces
from apsis.jobs.vocabulary import Date, Daytime, Time, TimeZone, from_local, show, to_local
from apsis.programs.templated import BindError
from apsis.schedules.schedule import show_time

#: dates that one shift may pass: each is looked for
_SHIFT_MAX: Final = 10_000
#: under which the filters find the calendars: no template can write such a name
_CALENDARS: Final = " calendars"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the templates of one run may speak of."""

    args: dict[str, str]
    run_id: str
    job_id: str
    schedule_time: datetime | None
    calendars: Calendars
    #: how it ended, for actions; an arg of the same name goes before
    facts: dict[str, Any] = field(default_factory=dict)


def expand_text(text: str, key: str, names: Names) -> str:
    """Return a text with its templates expanded; one newline at the end goes.

    Raises:
        BindError: a name is not known, or an expression fails.
    """
    try:
        parts = _parts(text)
        known = _globals(names)
        with limited():
            expanded = "".join(part if isinstance(part, str) else part.render(known) for part in parts)
    except TemplateSyntaxError as error:
        raise BindError(key, f"template: {error.message} (line {error.lineno} of the text)") from None
    except TemplateError as error:
        raise BindError(
            key, f"template: {error.message}", hint=f"args of this run: {', '.join(names.args) or 'none'}"
        ) from None
    except (RecursionError, SyntaxError, MemoryError):
        raise BindError(key, "template: is nested too deep") from None
    except Exception as error:  # noqa: BLE001  whatever an expression raises is its author's to read
        raise BindError(key, f"template: {type(error).__name__}: {error}") from None
    if len(expanded) > MAX_LENGTH:
        raise BindError(key, f"template: expands to more than {MAX_LENGTH} characters")
    return expanded


def check_text(text: str) -> str | None:
    """Return why a template cannot be compiled, or None where it can."""
    try:
        _parts(text)
    except TemplateSyntaxError as error:
        return f"template: {error.message} (line {error.lineno} of the text)"
    except TemplateError as error:
        return f"template: {error}"
    except (RecursionError, SyntaxError, MemoryError):
        # Python's compiler has limits of its own
        return "template: is nested too deep"
    return None


def unknown_names(text: str, known: Collection[str]) -> list[str]:
    """Return the names in a good template that are neither known nor of the language, sorted."""
    environment = _environment()
    used = find_undeclared_variables(environment.parse(text))
    return sorted(used - {*known, "get_calendar", "_calendars", *environment.globals})


def _globals(names: Names) -> dict[str, Any]:
    known: dict[str, Any] = {"get_calendar": _calendar_getter(names.calendars), **names.facts}
    if names.schedule_time is not None:
        known["schedule_time"] = show_time(names.schedule_time)
    # an arg may have the name of a function, and then means the arg
    known |= names.args
    return {**known, "run_id": names.run_id, "job_id": names.job_id, _CALENDARS: names.calendars}


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
        if abs(count) > _SHIFT_MAX:
            raise ValueError(f"a date can be shifted by {_SHIFT_MAX:,} dates at most, not by {count}")
        return Date(self._calendar.shift(Date(day).value, count))


def _parts(text: str) -> list[str | Template]:
    """Return a text as plain pieces and compiled ones, in turn; raises TemplateError with the line of the text."""
    found: list[str | Template] = []
    line = 1
    for index, piece in enumerate(pieces(text)):
        try:
            found.append(_compiled(piece) if index % 2 else piece)
        except TemplateSyntaxError as error:
            raise TemplateSyntaxError(error.message or "", error.lineno + line - 1) from None
        line += piece.count("\n")
    return found


@functools.lru_cache(maxsize=4096)
def _compiled(text: str) -> Template:
    return _environment().from_string(text)


@functools.cache
def _environment() -> Sandbox:
    from jinja2 import pass_context
    from jinja2.runtime import Context

    @pass_context
    def shift(context: Context, day: object, calendar: str, count: int) -> Date:
        calendars: Calendars = context[_CALENDARS]
        return _DateCalendar(calendars.get(calendar)).shift(day, count)

    environment = Sandbox()
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
