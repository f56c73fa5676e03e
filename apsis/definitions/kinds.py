"""Types by their names: the word after `type` leads to a module and a class in it, imported when it is first used."""

import importlib
from collections.abc import Mapping
from typing import Any

from apsis.definitions.fields import Fields
from apsis.definitions.forms import name
from apsis.definitions.nearest import did_you_mean


def find_kind(entry: Fields, what: str, types: Mapping[str, str]) -> Any | None:
    """Return the class (`package.module:Class` in `types`) of an entry's `type`; None, with a finding, if unknown."""
    kind = entry.required("type", name)
    if kind is None:
        return None
    if kind not in types:
        known = ", ".join(types)
        entry.refuse(
            "type", f"unknown {what} type {kind!r}; known: {known}{did_you_mean(kind, types)}", code="unknown_type"
        )
        return None
    module, _, attribute = types[kind].partition(":")
    return getattr(importlib.import_module(module), attribute)
