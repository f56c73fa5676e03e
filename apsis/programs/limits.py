"""`limits` and `cgroup`: what each process of a run, and what all of them together, may have."""

import math
from collections.abc import Callable
from typing import Any, Final

from apsis.definitions.fields import Fields, FormError, shown
from apsis.definitions.forms import number
from apsis.messages.dispatch import Cgroup, Limits
from apsis.programs.sizes import parse_size, show_size
from apsis.times.durations import parse_duration, show_duration

#: no kernel counts as many processes, files or cores
_MOST: Final = 1 << 30


def read_limits(fields: Fields) -> Limits | None:
    """Take the key `limits`."""
    nested = fields.nested("limits", "limits")
    if nested is None:
        return None
    limits = Limits(**{key: nested.optional(key, form, None) for key, (form, _) in _LIMITS.items()})
    fields.join(nested)
    return limits


def read_cgroup(fields: Fields) -> Cgroup | None:
    """Take the key `cgroup`; an empty mapping asks for a control group without limits."""
    nested = fields.nested("cgroup", "cgroup")
    if nested is None:
        return None
    cgroup = Cgroup(
        memory_max=nested.optional("memory_max", parse_size, None),
        cpu_max=nested.optional("cpu_max", _cores, None),
        pids_max=nested.optional("pids_max", _count, None),
    )
    fields.join(nested)
    return cgroup


def limits_json(limits: Limits) -> dict[str, Any]:
    """Return limits as a job file would have them."""
    found = {key: getattr(limits, key) for key in _LIMITS}
    return {key: _LIMITS[key][1](value) for key, value in found.items() if value is not None}


def cgroup_json(cgroup: Cgroup) -> dict[str, Any]:
    """Return a control group's limits as a job file would have them."""
    memory = None if cgroup.memory_max is None else show_size(cgroup.memory_max)
    found = {"memory_max": memory, "cpu_max": cgroup.cpu_max, "pids_max": cgroup.pids_max}
    return {key: value for key, value in found.items() if value is not None}


def _cpu(value: Any) -> int:
    """Return seconds of CPU; the kernel counts whole ones."""
    seconds = math.ceil(parse_duration(value))
    if not 1 <= seconds <= _MOST:
        raise FormError(f"expected CPU time of a second or more, got {shown(value)}")
    return seconds


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
        raise FormError(f"expected a whole number of 1 or more, got {shown(value)}")
    return int(value)


def _cores(value: Any) -> float:
    """Return a number of cores: `1.5`, or `150%`."""
    cores = value
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            cores = float(value.strip()[:-1]) / 100
        except ValueError:
            cores = None
    if isinstance(cores, bool) or not isinstance(cores, (int, float)) or not 0.01 <= number(cores) <= _MOST:
        raise FormError(f"expected a number of cores like 1.5, or a share of one like 50%, got {shown(value)}")
    return float(cores)


#: key: its form, and how a value of it is shown
_LIMITS: Final[dict[str, tuple[Callable[[Any], int], Callable[[int], Any]]]] = {
    "cpu": (_cpu, show_duration),
    "memory": (parse_size, show_size),
    "open_files": (_count, int),
    "processes": (_count, int),
    "file_size": (parse_size, show_size),
}
