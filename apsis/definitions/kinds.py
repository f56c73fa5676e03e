"""Types by their names: the word after `type` leads to a module and a class in it, imported when it is first used."""

import importlib
from collections.abc import Mapping
from typing import Any

from apsis.definitions.fields import Fields
from apsis.definitions.forms import name
from apsis.definitions.nearest import did_you_mean
from apsis.extensions import short_names, target


def find_kind(entry: Fields, what: str, types: Mapping[str, str], custom: str | None = None) -> Any | None:
    """Return the class (`package.module:Class` in `types`) of an entry's `type`; None, with a finding, if unknown.

    `custom` is the class that reads what users bring (by dotted path, short name or entry point): it is returned for
    those, and finds out itself whether the class they name can be used. A type of Apsis's own wins over a short name.
    """
    kind = entry.required("type", name)
    if kind is None:
        return None
    if kind in types:
        return imported(types[kind])
    if custom is not None and (path := target(kind, what)) is not None:
        return imported(types.get(path, custom))
    names = [*types, *(short_names(what) if custom is not None else ())]
    known = ", ".join(each for each in names if "." not in each)
    own = f"; a class of your own is package.module.Class, or has a name under `{what}_types` in apsis.yaml"
    entry.refuse(
        "type",
        f"unknown {what} type {kind!r}; known: {known}{did_you_mean(kind, names)}{own if custom else ''}",
        code="unknown_type",
    )
    return None


def imported(path: str) -> Any:
    """Return what stands at `package.module:Class`."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)
