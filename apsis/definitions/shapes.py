"""Shapes: what a form takes, as a JSON Schema, for the schema that editors are given."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from apsis.definitions.known_shapes import KNOWN

F = TypeVar("F", bound=Callable[..., Any])

Shape = dict[str, Any]

TEXT: Final[Shape] = {"type": ["string", "number", "boolean"]}
INTEGER: Final[Shape] = {"type": "integer"}
COUNT: Final[Shape] = {"type": "integer", "minimum": 0}
NUMBER: Final[Shape] = {"type": "number"}
BOOLEAN: Final[Shape] = {"type": "boolean"}
DATE: Final[Shape] = {"type": "string", "pattern": r"^\d{4}-?(\d{2}-?\d{2}|W\d{2}(-?\d)?)$"}
#: a value that is expanded first, whatever it must be then
TEMPLATE: Final[Shape] = {"type": "string", "pattern": r"\{[{%]"}

_SHAPE: Final = "apsis_shape"


def shaped(form: F, shape: Shape) -> F:
    """Say what a form takes, and return it."""
    setattr(form, _SHAPE, shape)
    return form


def shape_of(form: Callable[..., Any]) -> Shape | None:
    """Return what a form takes; None where that is not known."""
    found: Shape | None = getattr(form, _SHAPE, None)
    if found is None:
        found = KNOWN.get(f"{form.__module__}:{form.__qualname__}")
    return found


def either(*shapes: Shape | None) -> Shape:
    """Return the shape of what has one of these; that of anything, where one is not known."""
    listed: list[Shape] = []
    for shape in shapes:
        if not shape:
            return {}
        listed += shape["anyOf"] if shape.keys() == {"anyOf"} else [shape]
    return listed[0] if len(listed) == 1 else {"anyOf": listed}


def words(*choices: str) -> Shape:
    """Return the shape of one of these words, in any case of letters."""
    letters = ["".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else f"\\{c}" for c in word) for word in choices]
    return {"anyOf": [{"enum": list(choices)}, {"type": "string", "pattern": f"^({'|'.join(letters)})$"}]}


def lists_of(shape: Shape | None) -> Shape:
    """Return the shape of a list of these."""
    return {"type": "array", "items": shape or {}}


def mappings_to(shape: Shape | None) -> Shape:
    """Return the shape of a mapping from names to these."""
    return {"type": "object", "additionalProperties": shape or {}}
