"""Action types by their names, and the reading of the keys `action` and `successors`."""

from typing import Any, Final, Protocol

from apsis.actions.action import ActionSpec
from apsis.actions.schedule import ON_SUCCESS, ScheduleAction
from apsis.definitions.fields import Fields, shown
from apsis.definitions.kinds import find_kind

#: name: module and class. A further type is one more line.
TYPES: Final = {
    "schedule": "apsis.actions.schedule:ScheduleAction",
    "email": "apsis.actions.email:EmailAction",
    "webhook": "apsis.actions.webhook:WebhookAction",
    "command": "apsis.actions.command:CommandAction",
}
#: reads what users bring
CUSTOM: Final = "apsis.actions.custom:CustomAction"


class ActionType(Protocol):
    """What an action class has for the registry."""

    def read(self, fields: Fields) -> ActionSpec:
        """Take the keys of the type."""
        ...


def read_actions(fields: Fields) -> tuple[ActionSpec, ...]:
    """Take the key `action`: a mapping, a list of them, or null."""
    return _entries(fields, "action", _read_one)


def read_successors(fields: Fields) -> tuple[ScheduleAction, ...]:
    """Take the key `successors`: a job id, `{job_id, args}`, or a list of both."""
    return _entries(fields, "successors", _read_successor)


def _entries(fields: Fields, key: str, read: Any) -> tuple[Any, ...]:
    value = fields.take(key)
    if value is None:
        return ()
    listed = isinstance(value, list)
    found: list[Any] = []
    for index, item in enumerate(value if listed else [value]):
        subpath = (index,) if listed else ()
        if key == "successors" and isinstance(item, str):
            item = {"job_id": item}
        if not isinstance(item, dict):
            wanted = "a job id or `{job_id, args}`" if key == "successors" else "a mapping with `type`"
            fields.refuse(key, f"expected {wanted}, got {shown(item)}", subpath=subpath)
            continue
        entry = Fields(item, (*fields.path, key, *subpath), fields.findings, f"the {key.removesuffix('s')}")
        action = read(entry)
        if action is None:
            fields.failed = True
        else:
            found.append(action)
    return tuple(found)


def _read_successor(entry: Fields) -> ScheduleAction | None:
    action = ScheduleAction.read(entry, ON_SUCCESS)
    return action if entry.close() else None


def _read_one(entry: Fields) -> ActionSpec | None:
    kind: ActionType | None = find_kind(entry, "action", TYPES, CUSTOM)
    if kind is None:
        return None
    action = kind.read(entry)
    return action if entry.close() else None
