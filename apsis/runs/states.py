"""The states of a run, and the one table of what may follow what."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    """Where a run stands."""

    #: made, and not yet given a time or a condition to wait for
    NEW = "new"
    #: its time has not come
    SCHEDULED = "scheduled"
    #: due, and waiting for a condition, a resource or a host
    WAITING = "waiting"
    #: committed to be started; the program may run already
    STARTING = "starting"
    #: its program runs
    RUNNING = "running"
    #: asked to stop; the program may still run
    STOPPING = "stopping"
    #: ended as it should
    SUCCESS = "success"
    #: ended otherwise
    FAILURE = "failure"
    #: could not be run, or what became of it is not known
    ERROR = "error"
    #: will not be run, by decision
    SKIPPED = "skipped"


S = State

#: state: the states that it may be entered from
TABLE: Final[Mapping[State, frozenset[State]]] = MappingProxyType({
    S.NEW:       frozenset(),
    S.SCHEDULED: frozenset({S.NEW}),
    S.WAITING:   frozenset({S.NEW, S.SCHEDULED}),
    S.STARTING:  frozenset({S.NEW, S.SCHEDULED, S.WAITING}),
    S.RUNNING:   frozenset({S.STARTING}),
    S.STOPPING:  frozenset({S.STARTING, S.RUNNING}),
    S.SUCCESS:   frozenset({S.STARTING, S.RUNNING, S.STOPPING}),
    S.FAILURE:   frozenset({S.STARTING, S.RUNNING, S.STOPPING}),
    S.ERROR:     frozenset({S.NEW, S.SCHEDULED, S.WAITING, S.STARTING, S.RUNNING, S.STOPPING}),
    S.SKIPPED:   frozenset({S.NEW, S.SCHEDULED, S.WAITING, S.STARTING}),
})  # fmt: skip

#: the states that nothing leaves, but for a `mark` by a person
FINISHED: Final = frozenset(State) - frozenset().union(*TABLE.values())
#: due and not yet finished
ACTIVE: Final = frozenset({S.WAITING, S.STARTING, S.RUNNING, S.STOPPING})


class IllegalTransition(Exception):
    """A state was asked for that cannot follow the present one."""

    def __init__(self, old: State, new: State) -> None:
        super().__init__(f"a run that is {old} cannot become {new}")
        self.old = old
        self.new = new


def follow(old: State, new: State) -> State:
    """Return `new` if it may follow `old`.

    Raises:
        IllegalTransition: the table has no such step.
    """
    if old not in TABLE[new]:
        raise IllegalTransition(old, new)
    return new
