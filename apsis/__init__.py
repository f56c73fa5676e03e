"""Apsis: starts programs when they are due, watches them, keeps what they print, and tells people.

This package is the ground floor: what the words mean. It imports nothing else of ours.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apsis.client import Client

__all__ = ["Client", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # every process imports this package: the client and its HTTP library are loaded by whoever names it
    if name == "Client":
        from apsis.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
