"""A process of ours: it may be killed at any named point, and what it had in memory is gone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulated.world import World


class Killed(Exception):
    """The process has met its end at a point."""


class Process(ABC):
    """Begins, is killed, begins again; what it arranged to do later dies with it."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.alive = False
        #: it has found the hub
        self.linked = False
        self.life = 0
        self._points_left: int | None = None

    def start(self) -> None:
        """Begin a new life, unless one is lived."""
        if self.alive:
            return
        self.alive = True
        self.life += 1
        self._points_left = None
        self.world.say(self.name, "starts")
        self.guarded(self.begin)

    @abstractmethod
    def begin(self) -> None:
        """Take up what the disk holds."""

    @abstractmethod
    def hear(self, message: Any) -> None:
        """Take a message."""

    @abstractmethod
    def find_hub(self) -> None:
        """Connect to the hub, if both live."""

    @abstractmethod
    def disconnect(self) -> None:
        """The hub is gone."""

    def ended(self) -> None:
        """Its memory is gone, and its connection."""
        self.linked = False

    def doom(self, points: int) -> None:
        """Have it killed at the point after so many others; after a while wherever it stands."""
        self._points_left = points
        self.later(3.0, self._kill_at_last)

    def _kill_at_last(self) -> None:
        if self._points_left is not None:
            self.kill("while it rested")

    def reach(self, point: str) -> None:
        """Be killed here, if it is to be.

        Raises:
            Killed: it is.
        """
        if self._points_left is None:
            return
        if self._points_left == 0:
            kind = self.name.partition("/")[0]
            self.world.met(f"{kind} killed {point}")
            self.world.met(f"{kind} killed at a point")
            raise Killed(point)
        self._points_left -= 1

    def kill(self, how: str) -> None:
        """End it now; it comes back after a while."""
        if not self.alive:
            return
        self.alive = False
        self._points_left = None
        self.world.say(self.name, f"is killed {how}")
        self.ended()
        self.world.clock.after(self.world.random.uniform(0.1, 3.0), self.revive)

    def revive(self) -> None:
        """Come back, unless something keeps it away."""
        self.start()

    def later(self, seconds: float, do: Callable[..., object], *args: Any) -> None:
        """Have something done later, if this life lasts."""
        self.world.clock.after(seconds, self._if_it_lasts, self.life, do, args)

    def _if_it_lasts(self, life: int, do: Callable[..., object], args: tuple[Any, ...]) -> None:
        if self.alive and life == self.life:
            self.guarded(do, *args)

    def guarded(self, do: Callable[..., object], *args: Any) -> None:
        """Do something in which it may be killed."""
        try:
            do(*args)
        except Killed as killed:
            self.kill(f"at: {killed}")
