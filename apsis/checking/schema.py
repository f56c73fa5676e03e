"""The JSON Schema of job files (2020-12), for editors: made by asking the readers themselves which keys they take.

Each type is read once from a definition that holds nothing but its type, while `recording` notes which keys are asked
for and in which form. So a key that a reader takes is in the schema, and one that it does not take is not.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from apsis.actions.registry import TYPES as ACTIONS
from apsis.checking.descriptions import DESCRIPTIONS, described
from apsis.conditions.registry import TYPES as CONDITIONS
from apsis.definitions.recording import Asked, recording
from apsis.definitions.shapes import Shape, either, shape_of
from apsis.extensions import DOTTED
from apsis.jobs.parse import SPELLINGS, read_job
from apsis.programs.registry import TYPES as PROGRAMS
from apsis.schedules.registry import TYPES as SCHEDULES

_ID: Final = "https://json-schema.org/draft/2020-12/schema"
_NULL: Final[Shape] = {"type": "null"}
_TEXT: Final[Shape] = {"type": ["string", "number", "boolean"]}
_TYPES: Final[Mapping[str, Mapping[str, str]]] = {
    "program": PROGRAMS,
    "schedule": SCHEDULES,
    "condition": CONDITIONS,
    "action": ACTIONS,
}
#: keys that are taken as they stand, and looked at by hand
_BY_HAND: Final[dict[str, Shape]] = {
    "no-op.success": {"type": ["boolean", "null"]},
    "program.stdin": _TEXT,
}
#: keys whose list must hold something
_FILLED: Final = ("daily.daytime",)
#: keys of which one must be there
_ONE_OF: Final[dict[str, tuple[str, ...]]] = {
    "condition command": ("argv", "command"),
    "action command": ("argv", "command"),
}
#: what a definition must hold to be asked for all its keys
_OPENED: Final[dict[str, list[dict[str, Any]]]] = {
    "program": [{}, {"stdin": {}}],
    "schedule": [{}, {"start": {}, "stop": {}}],
}


def schema_text() -> str:
    """Return the schema as a file has it."""
    return json.dumps(job_schema(), indent=2)


def job_schema() -> Shape:
    """Return the schema of a job file."""
    properties = {**_job_properties(), **{other: {"$ref": f"#/$defs/{kept}s"} for other, kept in SPELLINGS.items()}}
    return {
        "$schema": _ID,
        "title": "Apsis job",
        "description": DESCRIPTIONS["job"],
        "type": "object",
        "properties": dict(sorted(properties.items())),
        "required": ["program"],
        "additionalProperties": False,
        "not": {"anyOf": [{"required": [kept, other]} for other, kept in SPELLINGS.items()]},
        "$defs": _definitions(),
    }


def _job_properties() -> dict[str, Shape]:
    """Return the keys of a job."""
    asked = _asked_for({"program": {"type": "no-op"}, "metadata": {}})
    found: dict[str, Shape] = _object(asked, (), "job", "")["properties"]
    for key in ("schedule", "condition", "action"):
        found[key] = {"$ref": f"#/$defs/{key}s", "description": DESCRIPTIONS[f"job.{key}"]}
    program: Shape = {"anyOf": [{"type": "string", "minLength": 1}, _words(), {"$ref": "#/$defs/program"}]}
    found["program"] = {**program, "description": DESCRIPTIONS["job.program"]}
    found["params"] = {**_params(), "description": DESCRIPTIONS["job.params"]}
    found["successors"] = {**_successors(), "description": DESCRIPTIONS["job.successors"]}
    metadata = _object(asked, ("metadata",), "metadata", "")
    for key in ("owner", "links"):
        metadata["properties"][key] = {"description": DESCRIPTIONS[f"metadata.{key}"]}
    metadata["additionalProperties"] = True
    found["metadata"] = {"anyOf": [metadata, _NULL], "description": DESCRIPTIONS["job.metadata"]}
    return found


def _definitions() -> dict[str, Shape]:
    found: dict[str, Shape] = {}
    for section, types in _TYPES.items():
        for kind in types:
            found[f"{section} {kind}"] = _type(section, kind)
        found[section] = _choice(section, list(types))
        found[f"{section}s"] = _one_or_list(section)
    found["schedule"] = {"if": {"required": ["type"]}, "then": found["schedule"], "else": {"$ref": "#/$defs/pair"}}
    found["pair"] = _pair()
    return found


def _choice(section: str, kinds: list[str]) -> Shape:
    """Return the schema of an entry whose `type` says which keys it has; a class of the user's may have any."""
    names: Shape = {"enum": kinds}
    dotted: Shape = {"type": "string", "pattern": f"^{DOTTED.pattern}$"}
    branches = [
        {
            "if": {"properties": {"type": {"const": kind}}, "required": ["type"]},
            "then": {"$ref": f"#/$defs/{section} {kind}".replace(" ", "%20")},
        }
        for kind in kinds
    ]
    return {
        "type": "object",
        "properties": {"type": {"anyOf": [names, dotted], "description": DESCRIPTIONS[f"{section}.type"]}},
        "required": ["type"],
        "allOf": branches,
    }


def _type(section: str, kind: str) -> Shape:
    asked: list[Asked] = []
    for more in _OPENED.get(section, [{}]):
        asked += _asked_for({"program": {"type": "no-op"}, section: {"type": kind, **more}})
    found = _object(asked, (section,), section, kind)
    if (one := _ONE_OF.get(f"{section} {kind}")) is not None:
        found["required"] = [key for key in found["required"] if key not in one]
        found["anyOf"] = [{"required": [key]} for key in one]
    return found


def _pair() -> Shape:
    """Return the schema of `{start: schedule, stop: stop}`."""
    start: Shape = {"$ref": "#/$defs/schedule", "description": DESCRIPTIONS["pair.start"], "required": ["type"]}
    stops = []
    for kind in ("duration", "daytime"):
        asked = _asked_for({"program": "true", "schedule": {"start": {"type": "interval"}, "stop": {"type": kind}}})
        stop = _object(asked, ("schedule", "stop"), "pair.stop", "")
        stop["properties"]["type"] = {"enum": [kind], "description": DESCRIPTIONS["pair.stop.type"]}
        stops.append(stop)
    return {
        "type": "object",
        "properties": {
            "start": start,
            "stop": {"anyOf": [*stops, _NULL], "description": DESCRIPTIONS["pair.stop"]},
        },
        "required": ["start"],
        "additionalProperties": False,
    }


def _params() -> Shape:
    name: Shape = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_.-]*$"}
    described_one = _object(_asked_for({"params": {"x": {}}}), ("params", "x"), "params", "")
    value = {"anyOf": [described_one, {"not": {"type": "object"}}]}
    mapping = {"type": "object", "propertyNames": name, "additionalProperties": value}
    return {"anyOf": [name, {"type": "array", "items": name}, mapping, _NULL]}


def _successors() -> Shape:
    entry = _object(_asked_for({"successors": [{}]}), ("successors", 0), "successors", "")
    one = {"anyOf": [{"type": "string", "minLength": 1}, entry]}
    return {"anyOf": [*one["anyOf"], {"type": "array", "items": one}, _NULL]}


def _words() -> Shape:
    return {"type": "array", "items": _TEXT, "minItems": 1}


def _one_or_list(section: str) -> Shape:
    one = {"$ref": f"#/$defs/{section}"}
    return {"anyOf": [one, {"type": "array", "items": one}, _NULL]}


def _asked_for(definition: dict[str, Any]) -> list[Asked]:
    """Return the keys that are asked for when a definition is read."""
    with recording() as asked:
        read_job("a", definition)
    return asked


def _object(asked: list[Asked], path: tuple[str | int, ...], section: str, kind: str) -> Shape:
    """Return the schema of the mapping at a path; `section` and `kind` are those of an entry, not of what is in it."""
    here = [each for each in asked if each.path == path]
    # a type may read its own keys by way of another's reader, which asks for more than the type takes
    readers = {each.reader for each in here if each.key == "type"} or {each.reader for each in here}
    properties: dict[str, Shape] = {}
    for key in sorted({each.key for each in here if each.reader in readers}):
        way = (*(part for part in path if isinstance(part, str)), key)
        properties[key] = _property(asked, (*path, key), [each for each in here if each.key == key], section, kind)
        if (text := described(section, kind, way)) is not None:
            properties[key]["description"] = text
    required = {each.key for each in here if each.required and each.reader in readers}
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(required),
        "additionalProperties": False,
    }


def _property(
    asked: list[Asked], path: tuple[str | int, ...], here: list[Asked], section: str, kind: str
) -> Shape:  # fmt: skip
    key = str(path[-1])
    shapes: list[Shape | None] = [shape_of(each.form) for each in here if each.form is not None]
    if any(each.nested for each in here):
        shapes.append(_object(asked, path, "", ""))
    by_hand = _BY_HAND.get(f"{kind}.{key}") or _BY_HAND.get(f"{section}.{key}")
    if by_hand is not None:
        shapes.append(by_hand)
    if not shapes:
        return {}
    if f"{kind}.{key}" in _FILLED:
        shapes = [_filled(each) for each in shapes]
    unique = [each for index, each in enumerate(shapes) if each not in shapes[:index]]
    found = either(*unique, *(() if any(each.required for each in here) else (_NULL,)))
    return dict(found)


def _filled(shape: Shape | None) -> Shape | None:
    """Return a shape whose lists are not empty."""
    if not shape or "anyOf" not in shape:
        return shape
    return {"anyOf": [{**each, "minItems": 1} if each.get("type") == "array" else each for each in shape["anyOf"]]}
