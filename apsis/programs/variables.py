"""Names of environment variables, of the secrets given in them, and of those that carry the args of a run."""

import re
from collections.abc import Iterable
from typing import Any, Final

from apsis.definitions.fields import FormError, shown
from apsis.definitions.forms import text

_NOT_IN_NAME: Final = re.compile(r"[^A-Z0-9_]")
#: it may be the name of a file
_SECRET: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def arg_variable(name: str) -> str:
    """Return the variable that carries an arg: upper case, other characters `_`."""
    return "APSIS_ARG_" + _NOT_IN_NAME.sub("_", name.upper())


def colliding_params(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two params whose args would be carried by one variable, or None."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(arg_variable(name), name)
        if other != name:
            return other, name
    return None


def variable_name(value: Any) -> str:
    """Return the name of an environment variable; the form for one."""
    found = text(value)
    if not found or "=" in found or "\0" in found:
        raise FormError(f"{found!r} cannot be the name of an environment variable")
    return found


def secret_name(value: Any) -> str:
    """Return the name of a secret; the form for one."""
    if not isinstance(value, str) or not _SECRET.fullmatch(value):
        raise FormError(f"expected the name of a secret (letters, digits, '_', '-' and '.'), got {shown(value)}")
    return value
