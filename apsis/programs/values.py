"""Values of any depth whose texts may be templates: what goes to a function, a class or a web address."""

from typing import Any

from apsis.definitions.fields import FormError, shown
from apsis.definitions.plain import plain
from apsis.programs.templated import Expand, has_template


def mapping(value: Any) -> dict[str, Any]:
    """Return a mapping whose values are such as JSON has; the form for `kwargs`."""
    if not isinstance(value, dict):
        raise FormError(f"expected a mapping, got {shown(value)}")
    for key in value:
        if not isinstance(key, str):
            raise FormError(f"expected a name, got {shown(key)}", (str(key),))
    found: dict[str, Any] = checked(value, ())
    return found


def checked(value: Any, path: tuple[str | int, ...]) -> Any:
    """Return a value with everything in it such as JSON has; raises FormError that leads to what is not."""
    if isinstance(value, dict):
        return {str(key): checked(each, (*path, str(key))) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [checked(each, (*path, index)) for index, each in enumerate(value)]
    if (isinstance(value, float) and value != value) or value in (float("inf"), float("-inf")):
        raise FormError(f"{value} is no number that can be passed on", path)
    if value is None or isinstance(value, (str, bool, int, float)):
        return plain(value)
    raise FormError(f"{shown(value)} cannot be passed on; write it as a text, in quotes", path)


def expanded(value: Any, key: str, expand: Expand) -> Any:
    """Return a value with the templates in its texts expanded; a text without any stays to the letter."""
    if isinstance(value, str):
        return expand(value, key) if has_template(value) else value
    if isinstance(value, dict):
        return {name: expanded(each, f"{key}.{name}", expand) for name, each in value.items()}
    if isinstance(value, list):
        return [expanded(each, f"{key}[{index}]", expand) for index, each in enumerate(value)]
    return value


def texts_of(value: Any, key: str) -> dict[str, str]:
    """Return each text in which templates are expanded, by the path of its key."""
    if isinstance(value, str):
        return {key: value}
    found: dict[str, str] = {}
    if isinstance(value, dict):
        for name, each in value.items():
            found |= texts_of(each, f"{key}.{name}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            found |= texts_of(each, f"{key}[{index}]")
    return found
