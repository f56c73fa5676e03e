"""Sizes of memory and files: a number of bytes, or texts like `512M` and `1.5 GiB`."""

import math
import re
from typing import Any, Final

from apsis.definitions.fields import FormError, shown

_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(?:([kmgt])(?:i?b)?|b)?", re.IGNORECASE)
#: more is a slip: the kernel counts bytes in 63 bits
_LARGEST: Final = 1 << 62
_FORMS: Final = "write a number of bytes, or e.g. 512M, 1.5 GiB (K, M, G and T are powers of 1024)"


def parse_size(value: Any) -> int:
    """Return a size in bytes; never less than one.

    Raises:
        FormError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise FormError(f"expected a size, got {shown(value)}; {_FORMS}")
    match = _SIZE.fullmatch(str(value).strip())
    size = float(match[1]) * _UNITS[(match[2] or "").lower()] if match else math.nan
    if not 1 <= size <= _LARGEST:
        raise FormError(f"{value!r} is no size; {_FORMS}")
    return int(size)


def show_size(size: int) -> str:
    """Return a size as a person writes it: `512M`; what is no whole number of a unit stays in bytes."""
    for unit in ("t", "g", "m", "k"):
        if size >= _UNITS[unit] and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]}{unit.upper()}"
    return str(size)
