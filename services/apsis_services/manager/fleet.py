"""The services together: the hub first, then the others at once; stopped one by one in reverse. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from apsis_services.manager.member import Deed, Died, Due, Fact, Member, Order, Phase, step

#: service: module that is run, in the order of starting
MODULES: Final[Mapping[str, str]] = MappingProxyType({
    "hub":        "apsis_bus.hub",
    "scheduler":  "apsis_services.scheduler",
    "store":      "apsis_services.store",
    "supervisor": "apsis_services.supervisor",
    "web":        "apsis_web",
    "alerts":     "apsis_services.alerts",
})  # fmt: skip

_FIRST: Final = next(iter(MODULES))


class Goal(StrEnum):
    """What the manager works towards."""

    RUN = "run"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Action:
    """Do something to a service's process."""

    deed: Deed
    name: str


class Fleet:
    """All services, and the goal. It is told facts and returns what is to be done; it does nothing itself."""

    def __init__(self) -> None:
        self.goal = Goal.RUN
        self.members: dict[str, Member] = {name: Member(name) for name in MODULES}

    def hear(self, name: str, fact: Fact, now: float) -> list[Action]:
        """Take in a fact about one service."""
        if self.goal is Goal.STOP and isinstance(fact, Died):
            # its turn to be stopped had not come: it is down now, and stays so
            self.members[name] = replace(self.members[name], wanted=False)
        return [*self._step(name, fact, now), *self.advance(now)]

    def stop(self, now: float) -> list[Action]:
        """Work towards no process at all from now on; what waits to be started again is not."""
        self.goal = Goal.STOP
        for name, member in self.members.items():
            if member.phase in (Phase.WAITING, Phase.FAILED):
                self._step(name, Order.STOP, now)
        return self.advance(now)

    def advance(self, now: float) -> list[Action]:
        """Do what has become due, and go on towards the goal."""
        actions = [action for name in self.members for action in self._step(name, Due(), now)]
        goes_on = self._start_next(now) if self.goal is Goal.RUN else self._stop_next(now)
        return actions + goes_on

    def next_due(self) -> float | None:
        """Return when `advance` is to be called even if nothing is heard before."""
        return min((member.due for member in self.members.values() if member.due is not None), default=None)

    @property
    def state(self) -> str:
        """Return all services' state in a word: `ok`, `starting`, `degraded`, `stopping` or `stopped`."""
        phases = {member.phase for member in self.members.values()}
        if self.goal is Goal.STOP:
            return "stopped" if phases == {Phase.DOWN} else "stopping"
        if phases == {Phase.RUNNING}:
            return "ok"
        if phases & {Phase.FAILED, Phase.WAITING} or any(member.restarts for member in self.members.values()):
            return "degraded"
        return "starting"

    @property
    def is_down(self) -> bool:
        """Say whether no process is left."""
        return all(member.phase is Phase.DOWN for member in self.members.values())

    def _step(self, name: str, fact: Fact, now: float) -> list[Action]:
        self.members[name], deed = step(self.members[name], fact, now)
        return [Action(deed, name)] if deed else []

    def _start_next(self, now: float) -> list[Action]:
        first = self.members[_FIRST]
        if not first.wanted:
            return self._step(_FIRST, Order.START, now)
        if first.phase is Phase.STARTING and not first.restarts:
            return []  # peers would only wait for it, and take the processor from it
        return [
            action
            for name, member in self.members.items()
            if not member.wanted
            for action in self._step(name, Order.START, now)
        ]

    def _stop_next(self, now: float) -> list[Action]:
        """Stop the last service that is up, once the one after it is down; the hub outlives all who talk by it."""
        for name in reversed(self.members):
            if self.members[name].phase is not Phase.DOWN:
                return self._step(name, Order.STOP, now) if self.members[name].wanted else []
        return []
