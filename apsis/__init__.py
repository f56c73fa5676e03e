"""Apsis: starts programs when they are due, watches them, keeps what they print, and tells people.

This package is the ground floor: what the words mean. It imports nothing else of ours.
"""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from apsis.actions.base import Action, AsyncAction
    from apsis.client import Client
    from apsis.conditions.base import Condition, PolledCondition, ThreadedCondition, WaitingRun
    from apsis.programs.base import Program, Result, ThisRun
    from apsis.schedules.base import Schedule

__all__ = [
    "Action",
    "AsyncAction",
    "Client",
    "Condition",
    "PolledCondition",
    "Program",
    "Result",
    "Schedule",
    "ThisRun",
    "ThreadedCondition",
    "WaitingRun",
    "__version__",
]
__version__ = "0.1.0"

#: every process imports this package: what it offers is loaded by whoever names it
_MODULES: Final = {
    "Action": "apsis.actions.base",
    "AsyncAction": "apsis.actions.base",
    "Client": "apsis.client",
    "Condition": "apsis.conditions.base",
    "PolledCondition": "apsis.conditions.base",
    "Program": "apsis.programs.base",
    "Result": "apsis.programs.base",
    "Schedule": "apsis.schedules.base",
    "ThisRun": "apsis.programs.base",
    "ThreadedCondition": "apsis.conditions.base",
    "WaitingRun": "apsis.conditions.base",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        import importlib

        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
