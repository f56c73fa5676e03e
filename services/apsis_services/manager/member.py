"""One service as the manager sees it: a table of what follows what, without a process or a clock in it.

What was asked (`wanted`) is kept apart from what is (`phase`). Times are seconds on the monotonic clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

#: seconds between being told to end and being killed
GRACE: Final = 5.0
#: first and longest pause before a service that dies too early is started again
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 10.0
#: a service that was ready for less than this, this often in a row, is as good as one that never was
SHORT_LIFE: Final = 1.0
SHORT_LIVES: Final = 3
#: exit status of a service that says it cannot start, and of one whose lock another process holds
CANNOT_START: Final = 3
ALREADY_RUNNING: Final = 75


class Phase(StrEnum):
    """What a service does at present."""

    #: no process, and none is wanted
    DOWN = "stopped"
    #: a process that is not ready yet
    STARTING = "starting"
    RUNNING = "running"
    #: told to end
    STOPPING = "stopping"
    #: died too early; started again after a pause
    WAITING = "restarting"
    #: said that it cannot start; tried again after a pause, as a person may have mended the reason
    FAILED = "failed"


P = Phase
ALIVE: Final = frozenset({P.STARTING, P.RUNNING, P.STOPPING})


class Deed(StrEnum):
    """What is to be done to a service's process."""

    START = "start"
    TERMINATE = "terminate"
    KILL = "kill"
    #: another process holds its lock: watch that one
    ADOPT = "adopt"


class Order(StrEnum):
    """What the manager asks of a service."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Adopted:
    """A process from before holds the service's lock."""

    pid: int
    ready: bool
    #: seconds that it has lived
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Spawned:
    """Its process was started."""

    pid: int


@dataclass(frozen=True, slots=True)
class Ready:
    """It says that it does its work."""


@dataclass(frozen=True, slots=True)
class Died:
    """Its process ended; `status` is negative for a signal, and None where only its own parent knows."""

    status: int | None


@dataclass(frozen=True, slots=True)
class Due:
    """The time that `due` names has come."""


Fact = Adopted | Spawned | Ready | Died | Due | Order


@dataclass(frozen=True, slots=True)
class Member:
    """One service: what is asked of it, and where it stands."""

    name: str
    wanted: bool = False
    phase: Phase = P.DOWN
    #: when it entered its phase
    since: float = 0.0
    pid: int | None = None
    #: deaths that were not asked for, in all
    restarts: int = 0
    #: deaths in a row that came too early
    early: int = 0
    #: when it is to be started again, or killed
    due: float | None = None


#: what a phase makes of an order: the next phase, and what is done
_ORDERS: Final[Mapping[tuple[Phase, Order], tuple[Phase, Deed | None]]] = MappingProxyType({
    (P.DOWN,     Order.START):   (P.STARTING, Deed.START),
    (P.WAITING,  Order.START):   (P.STARTING, Deed.START),
    (P.FAILED,   Order.START):   (P.STARTING, Deed.START),
    (P.STARTING, Order.STOP):    (P.STOPPING, Deed.TERMINATE),
    (P.RUNNING,  Order.STOP):    (P.STOPPING, Deed.TERMINATE),
    (P.WAITING,  Order.STOP):    (P.DOWN,     None),
    (P.FAILED,   Order.STOP):    (P.DOWN,     None),
    (P.DOWN,     Order.RESTART): (P.STARTING, Deed.START),
    (P.WAITING,  Order.RESTART): (P.STARTING, Deed.START),
    (P.FAILED,   Order.RESTART): (P.STARTING, Deed.START),
    (P.STARTING, Order.RESTART): (P.STOPPING, Deed.TERMINATE),
    (P.RUNNING,  Order.RESTART): (P.STOPPING, Deed.TERMINATE),
})  # fmt: skip


def step(member: Member, fact: Fact, now: float) -> tuple[Member, Deed | None]:
    """Return the service after a fact, and what is to be done; a fact that changes nothing is passed over."""
    if isinstance(fact, Order):
        return _ordered(member, fact, now)
    if isinstance(fact, Adopted):
        phase = P.RUNNING if fact.ready else P.STARTING
        return replace(member, wanted=True, phase=phase, since=now - fact.age, pid=fact.pid, due=None), None
    if isinstance(fact, Spawned):
        return replace(member, pid=fact.pid), None
    if isinstance(fact, Ready):
        return (replace(member, phase=P.RUNNING, since=now), None) if member.phase is P.STARTING else (member, None)
    if isinstance(fact, Died):
        return _died(member, fact.status, now)
    return _due(member, now)


def _ordered(member: Member, order: Order, now: float) -> tuple[Member, Deed | None]:
    wanted = order is not Order.STOP
    phase, deed = _ORDERS.get((member.phase, order), (member.phase, None))
    if phase is member.phase:
        return replace(member, wanted=wanted), None
    due = now + GRACE if phase is P.STOPPING else None
    return replace(member, wanted=wanted, phase=phase, since=now, due=due, early=0), deed


def _died(member: Member, status: int | None, now: float) -> tuple[Member, Deed | None]:
    gone = replace(member, pid=None, since=now, due=None)
    if not member.wanted:
        return replace(gone, phase=P.DOWN), None
    if member.phase is P.STOPPING:
        return replace(gone, phase=P.STARTING), Deed.START
    if member.phase is P.STARTING and status == ALREADY_RUNNING:
        return replace(gone, phase=P.WAITING, early=member.early + 1, due=now + pause(member.early + 1)), Deed.ADOPT
    if member.phase is P.STARTING and status == CANNOT_START:
        return replace(gone, phase=P.FAILED, early=member.early + 1, due=now + LONGEST_PAUSE), None
    was_ready = member.phase is P.RUNNING
    early = 0 if was_ready and now - member.since >= SHORT_LIFE else member.early + 1
    gone = replace(gone, restarts=member.restarts + 1, early=early)
    if was_ready and early <= SHORT_LIVES:
        return replace(gone, phase=P.STARTING), Deed.START
    return replace(gone, phase=P.WAITING, due=now + pause(early)), None


def _due(member: Member, now: float) -> tuple[Member, Deed | None]:
    if member.due is None or now < member.due:
        return member, None
    if member.phase is P.STOPPING:
        return replace(member, due=None), Deed.KILL
    return replace(member, phase=P.STARTING, since=now, due=None), Deed.START


def pause(early: int) -> float:
    """Return the seconds before a service that died too early that often is started again."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (early - 1))
