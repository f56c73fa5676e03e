"""`_defaults.yaml`: keys that the jobs of a folder, and of those below it, have where they do not say otherwise."""

from typing import Any, Final

from apsis.definitions.finding import Findings
from apsis.definitions.nearest import did_you_mean
from apsis.programs.registry import spelled_out

NAME: Final = "_defaults.yaml"
#: what each job must say for itself
_OWN: Final = ("job_id", "ad_hoc", "params")
#: the keys of a process that make no sense with another type of program
_MAPPINGS: Final = ("program", "metadata", "retry", "resources", "timeout", "expect", "output")
KNOWN: Final = (
    *_MAPPINGS, "schedule", "schedules", "condition", "conditions", "action", "actions", "successors",
    "priority", "late_after",
)  # fmt: skip


def check_defaults(value: Any, findings: Findings) -> dict[str, Any] | None:
    """Return the defaults of a file, or None, with findings, where they cannot be used."""
    if not isinstance(value, dict):
        findings.add((), "expected a mapping of keys that jobs have")
        return None
    for key in value:
        if key in _OWN:
            findings.add((key,), f"{key!r} cannot have a default; each job says it for itself", at_key=True)
        elif key not in KNOWN:
            near = did_you_mean(key, KNOWN)
            findings.add((key,), f"unknown key {key!r} in defaults{near}", code="unknown_key", at_key=True)
        elif key in _MAPPINGS and not isinstance(value[key], dict):
            findings.add((key,), f"{key}: expected a mapping, whose keys are the defaults")
    return None if findings.errors else value


def with_defaults(definition: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return a definition with what it lacks: mappings key by key, anything else as a whole.

    A default for `program` goes to jobs whose program runs as a process, and `command` or `argv` to none that has
    a program of its own.
    """
    merged = dict(definition)
    for key, default in defaults.items():
        plain = key.removesuffix("s") if key != "successors" else key
        if key in _MAPPINGS:
            if key not in merged:
                merged[key] = default
            elif merged[key] is not None:  # written with null, it is to have no defaults
                merged[key] = _program(merged[key], default) if key == "program" else _filled(merged[key], default)
        elif plain not in merged and f"{plain}s" not in merged and key not in merged:
            merged[key] = default
    return merged


def _program(own: Any, default: dict[str, Any]) -> Any:
    spelled = spelled_out(own)
    if not isinstance(spelled, dict) or spelled.get("type") == "no-op":
        return own
    return _filled(spelled, {key: value for key, value in default.items() if key not in ("type", "command", "argv")})


def _filled(own: Any, default: Any) -> Any:
    if not isinstance(own, dict) or not isinstance(default, dict):
        return own
    filled = dict(own)
    for key, value in default.items():
        filled[key] = _filled(own[key], value) if key in own else value
    return filled
