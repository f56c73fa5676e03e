"""Definitions as plain JSON data, and their canonical form, from which hashes are taken."""

from typing import Any

from apsis.messages.body import encode


def plain(value: Any) -> Any:
    """Return a copy that has only the kinds of value that JSON has: a number read from YAML is a mere number."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return value


def canonical(value: Any) -> bytes:
    """Return JSON whose keys are sorted, so that equal values have equal bytes."""
    return encode(_sorted(value))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_sorted(each) for each in value]
    return value
