"""Forms: the plain kinds of value that fields have. Each takes a value and returns it parsed, or raises FormError."""

import math
from collections.abc import Callable, Collection
from datetime import date
from typing import Any, TypeVar

from apsis.definitions.fields import FormError, shown
from apsis.definitions.nearest import did_you_mean
from apsis.definitions.shapes import (
    BOOLEAN,
    COUNT,
    DATE,
    INTEGER,
    NUMBER,
    TEXT,
    either,
    lists_of,
    mappings_to,
    shape_of,
    shaped,
    words,
)

T = TypeVar("T")


def text(value: Any) -> str:
    """Return a text; a number or a truth value is taken as it is written."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return str(value)
    raise FormError(f"expected a text, got {shown(value)}")


def name(value: Any) -> str:
    """Return a text that is not empty and stands on one line."""
    found = text(value)
    if not found.strip() or "\n" in found or "\0" in found:
        raise FormError(f"expected a name, got {shown(value)}")
    return found


def boolean(value: Any) -> bool:
    """Return true or false."""
    if isinstance(value, bool):
        return value
    raise FormError(f"expected true or false, got {shown(value)}")


def integer(value: Any) -> int:
    """Return a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    raise FormError(f"expected a whole number, got {shown(value)}")


def count(value: Any) -> int:
    """Return a whole number that is not negative."""
    found = integer(value)
    if found < 0:
        raise FormError(f"expected a number that is not negative, got {found}")
    return found


def number(value: Any) -> float:
    """Return a finite number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise FormError(f"expected a number, got {shown(value)}")


def calendar_date(value: Any) -> date:
    """Return a date written as `2026-06-30`."""
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise FormError(f"expected a date like 2026-06-30, got {shown(value)}") from None


def one_of(*choices: str) -> Callable[[Any], str]:
    """Return a form that takes only these words, in any case."""

    def parse(value: Any) -> str:
        found = text(value).lower()
        if found not in choices:
            raise FormError(f"expected one of {', '.join(choices)}; got {shown(value)}{did_you_mean(found, choices)}")
        return found

    return shaped(parse, words(*choices))


def list_of(item: Callable[[Any], T]) -> Callable[[Any], list[T]]:
    """Return a form for a list of which each item has the form `item`."""

    def parse(value: Any) -> list[T]:
        if not isinstance(value, list):
            raise FormError(f"expected a list, got {shown(value)}")
        found = []
        for index, each in enumerate(value):
            try:
                found.append(item(each))
            except FormError as error:
                raise FormError(str(error), (index, *error.subpath)) from None
            except ValueError as error:
                raise FormError(str(error), (index,)) from None
        return found

    return shaped(parse, lists_of(shape_of(item)))


def one_or_list(item: Callable[[Any], T]) -> Callable[[Any], list[T]]:
    """Return a form for one item or a list of them."""
    listed = list_of(item)

    def parse(value: Any) -> list[T]:
        return listed(value) if isinstance(value, list) else [item(value)]

    return shaped(parse, either(shape_of(item), shape_of(listed)))


def mapping_of(item: Callable[[Any], T]) -> Callable[[Any], dict[str, T]]:
    """Return a form for a mapping from names to values of the form `item`."""

    def parse(value: Any) -> dict[str, T]:
        if not isinstance(value, dict):
            raise FormError(f"expected a mapping, got {shown(value)}")
        found = {}
        for key, each in value.items():
            try:
                found[str(key)] = item(each)
            except FormError as error:
                raise FormError(f"{key}: {error}", (key, *error.subpath)) from None
            except ValueError as error:
                raise FormError(f"{key}: {error}", (key,)) from None
        return found

    return shaped(parse, mappings_to(shape_of(item)))


def states(known: Collection[str]) -> Callable[[Any], tuple[str, ...]]:
    """Return a form for one state or a list of states out of `known`."""
    listed = one_or_list(one_of(*(str(each) for each in known)))

    def parse(value: Any) -> tuple[str, ...]:
        return tuple(listed(value))

    return shaped(parse, shape_of(listed) or {})


for _form, _shape in (
    (text, TEXT), (name, TEXT), (boolean, BOOLEAN), (integer, INTEGER), (count, COUNT), (number, NUMBER),
    (calendar_date, DATE),
):  # fmt: skip
    shaped(_form, _shape)
