"""The base classes of actions that users bring."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar


class Action(ABC):
    """Something that is done when a run has ended.

    A job names the class by its dotted path, its short name or its entry point; its `if` is Apsis's, its other keys,
    their templates expanded, are the keyword arguments of `__init__`. It is carried out by the service for alerts, in
    a process of its own: what hangs or raises is tried again, and then shown with the run.
    """

    #: seconds that one attempt may take
    timeout: ClassVar[float] = 60.0

    @abstractmethod
    def act(self, event: Mapping[str, Any]) -> None:
        """Do it. `event` says what has happened, as docs/alerts.md lists it; its `id` is the same at each attempt.

        An attempt that raises, or does not return in time, is made again later: so do it such that a second time
        harms nobody, or remember the `id`.
        """


class AsyncAction(Action):
    """An action that waits for what others do: `act` is a coroutine function, run by a loop of its own."""

    @abstractmethod
    async def act(self, event: Mapping[str, Any]) -> None:  # type: ignore[override]
        """Do it, as `Action.act`."""
