"""The bus floor: how the processes of one installation talk, and how one of them is started and ended.

Nothing is imported here until it is asked for: `import apsis_bus.lock` must not cost a ZeroMQ.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apsis_bus.outsiders import Events, EventsLost, events

__all__ = ["Events", "EventsLost", "events"]


def __getattr__(name: str) -> Any:
    """Import what outsiders use at its first use: `from apsis_bus import events`."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from apsis_bus import outsiders

    return getattr(outsiders, name)
