"""Values that may be written as templates: checked at once where they are plain, else when they are expanded."""

from collections.abc import Callable
from typing import Any, TypeVar

from apsis.definitions.forms import text
from apsis.definitions.shapes import TEMPLATE, either, shape_of, shaped
from apsis.errors import ApsisError
from apsis.programs.signals import parse_signal
from apsis.times.durations import parse_duration

T = TypeVar("T")
#: takes a text with templates and the name of its key, and returns it expanded; raises BindError
Expand = Callable[[str, str], str]


class BindError(ApsisError):
    """The args or a template of a run do not fit; `key` is the arg or the key of the job that failed."""

    code = "bind"

    def __init__(self, key: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"{key}: {message}" if key else message, hint=hint, loc=key)
        self.key = key


def has_template(value: str) -> bool:
    """Return whether a text has anything to expand."""
    return "{{" in value or "{%" in value


def templated(parse: Callable[[Any], object]) -> Callable[[Any], str]:
    """Return a form that keeps the text of a value, and checks it by `parse` unless it is a template."""

    def check(value: Any) -> str:
        found = text(value)
        if not has_template(found):
            parse(value)
        return found

    return shaped(check, either(shape_of(parse), TEMPLATE))


def bound(parse: Callable[[Any], T], value: str, key: str) -> T:
    """Return an expanded text parsed.

    Raises:
        BindError: it has not the form that is needed.
    """
    try:
        return parse(value.strip())
    except ValueError as error:
        raise BindError(key, str(error)) from None


duration_text = templated(parse_duration)
signal_text = templated(parse_signal)


def seconds(value: str, key: str) -> float:
    """Return an expanded duration in seconds."""
    return bound(parse_duration, value, key)


def signal_number(value: str, key: str) -> int:
    """Return the number of an expanded signal."""
    return bound(parse_signal, value, key)
