"""Signals by name, with or without SIG, in any case; or by number."""

import functools
import signal
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from apsis.definitions.fields import FormError, shown
from apsis.definitions.nearest import did_you_mean


def parse_signal(value: Any) -> int:
    """Return the number of a signal: `TERM`, `sigterm`, `15`, 15.

    Raises:
        FormError: there is no such signal here.
    """
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise FormError(f"expected a signal like TERM or 15, got {shown(value)}")
    word = str(value).strip().upper()
    if word.isdigit():
        number = int(word)
        if number not in signal.valid_signals():
            raise FormError(f"there is no signal {number}; signals are 1 to {max(signal.valid_signals())}")
        return number
    names = _numbers()
    found = names.get(word.removeprefix("SIG"))
    if found is None:
        raise FormError(f"there is no signal {value!r}{did_you_mean(word.removeprefix('SIG'), names)}")
    return found


@functools.cache
def _numbers() -> Mapping[str, int]:
    # asked for with each start
    return MappingProxyType({member.name.removeprefix("SIG"): int(member) for member in signal.Signals})


def signal_name(number: int) -> str:
    """Return `SIGTERM` for 15; a number without a name stays one."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
