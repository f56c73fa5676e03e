"""Condition types by their names, and the reading of the key `condition`."""

from typing import Final, Protocol

from apsis.conditions.condition import ConditionSpec
from apsis.definitions.fields import Fields, shown
from apsis.definitions.kinds import find_kind
from apsis.times.durations import parse_duration

#: name: module and class. A further type is one more line.
TYPES: Final = {
    "dependency": "apsis.conditions.dependency:DependencySpec",
    "max_running": "apsis.conditions.max_running:MaxRunningSpec",
    "skip_duplicate": "apsis.conditions.skip_duplicate:SkipDuplicate",
    "const": "apsis.conditions.const:Const",
    "file": "apsis.conditions.file:FileSpec",
    "http": "apsis.conditions.http:HttpConditionSpec",
    "command": "apsis.conditions.command:CommandSpec",
}
#: reads what users bring
CUSTOM: Final = "apsis.conditions.custom:CustomSpec"


class ConditionType(Protocol):
    """What a condition class has for the registry."""

    def read(self, fields: Fields) -> ConditionSpec:
        """Take the keys of the type."""
        ...


def read_conditions(fields: Fields) -> tuple[tuple[ConditionSpec, ...], float | None]:
    """Take the key `condition`; also return the shortest `max_time` of its entries, in seconds."""
    value = fields.take("condition")
    if value is None:
        return (), None
    listed = isinstance(value, list)
    found: list[ConditionSpec] = []
    limits: list[float] = []
    for index, item in enumerate(value if listed else [value]):
        subpath = (index,) if listed else ()
        if not isinstance(item, dict):
            fields.refuse("condition", f"expected a mapping with `type`, got {shown(item)}", subpath=subpath)
            continue
        entry = Fields(item, (*fields.path, "condition", *subpath), fields.findings, "the condition")
        condition = _read_one(entry, limits)
        if condition is None:
            fields.failed = True
        else:
            found.append(condition)
    return tuple(found), min(limits, default=None)


def _read_one(entry: Fields, limits: list[float]) -> ConditionSpec | None:
    # before the type's own: a class of a user's takes all that is left
    limit = entry.optional("max_time", parse_duration, None)
    if limit is not None:
        limits.append(limit)
    kind: ConditionType | None = find_kind(entry, "condition", TYPES, CUSTOM)
    if kind is None:
        return None
    condition = kind.read(entry)
    return condition if entry.close() else None
