"""Params: the names that the args of a job's runs have, and which values they may take."""

import re
from dataclasses import dataclass
from typing import Any

from apsis.definitions.fields import Fields, FormError, shown
from apsis.definitions.forms import list_of, text
from apsis.programs.variables import arg_variable, colliding_params

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """One param of a job."""

    default: str | None = None
    choices: tuple[str, ...] | None = None
    #: regular expression that the whole value must match
    pattern: str | None = None
    description: str = ""

    def wrong(self, value: str) -> str | None:
        """Return why a value may not be given, or None where it may."""
        if self.choices is not None and value not in self.choices:
            return f"{value!r} is not one of {', '.join(self.choices)}"
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            return f"{value!r} does not match the pattern {self.pattern}"
        return None

    def to_json(self) -> dict[str, Any]:
        """Return it as a job file would have it; nothing that is as by default."""
        shown: dict[str, Any] = {}
        if self.default is not None:
            shown["default"] = self.default
        if self.choices is not None:
            shown["choices"] = list(self.choices)
        if self.pattern is not None:
            shown["pattern"] = self.pattern
        if self.description:
            shown["description"] = self.description
        return shown


def read_params(fields: Fields) -> dict[str, Param]:
    """Take the key `params`: a name, a list of names, or a mapping from names to what is known of each."""
    value = fields.take("params")
    if value is None:
        return {}
    if isinstance(value, dict):
        nested = Fields(value, (*fields.path, "params"), fields.findings, "params")
        found = {name: _read_param(nested, name) for name in value}
        fields.join(nested)
    else:
        names = value if isinstance(value, list) else [value]
        found = {}
        for index, name in enumerate(names):
            at = (index,) if isinstance(value, list) else ()
            if not isinstance(name, str):
                fields.refuse("params", f"expected a name, got {shown(name)}", subpath=at)
            elif name in found:
                fields.refuse("params", f"{name!r} stands there twice", code="duplicate", subpath=at)
            else:
                found[name] = Param()
    for name in found:
        if not _NAME.fullmatch(name):
            fields.refuse("params", f"{name!r} is no name; use letters, digits and _, as in `region`")
        elif name in ("run_id", "job_id"):
            fields.refuse("params", f"{name!r} is the name of something that every run has; choose another")
    if (pair := colliding_params(found)) is not None:
        variable = arg_variable(pair[0])
        fields.refuse("params", f"{pair[0]!r} and {pair[1]!r} would both be given to programs as {variable}")
    return found


def _read_param(fields: Fields, name: str) -> Param:
    value = fields.value[name]
    if not isinstance(value, dict):
        # an older form: the name with nothing, or with a word about it, behind it
        fields.take(name)
        return Param()
    nested = Fields(value, (*fields.path, name), fields.findings, f"the param {name!r}")
    fields.take(name)
    choices = nested.optional("choices", list_of(text), None)
    param = Param(
        default=nested.optional("default", text, None),
        choices=None if choices is None else tuple(choices),
        pattern=nested.optional("pattern", _pattern, None),
        description=nested.optional("description", text, ""),
    )
    if param.default is not None and (why := param.wrong(param.default)) is not None:
        nested.refuse("default", why)
    fields.join(nested)
    return param


def _pattern(value: Any) -> str:
    found = text(value)
    try:
        re.compile(found)
    except re.error as error:
        raise FormError(f"{found!r} is no regular expression: {error}") from None
    return found
