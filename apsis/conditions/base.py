"""The base classes of conditions that users bring."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRun:
    """The run that waits, as a condition is told of it."""

    run_id: str
    job_id: str
    args: Mapping[str, str] = field(default_factory=dict)
    #: when it was due (UTC); None: it was made by hand
    schedule_time: datetime | None = None


class Condition(ABC):
    """Something that a run waits for, looked at when its turn comes; where it does not hold yet, once a minute.

    A job names the class by its dotted path, its short name or its entry point; its other keys, their templates
    expanded, are the keyword arguments of `__init__`. It is never looked at on the scheduler's loop: what hangs or
    raises is shown on its run, and holds up nobody else. Once it holds for a run it holds for good.

    Each look is made by a new instance, maybe in another process: nothing is kept from one to the next. What is
    printed goes nowhere; a text that is returned is shown on the run.
    """

    #: seconds that one look may take; one that takes longer is killed, and made again after a pause
    timeout: ClassVar[float] = 10.0
    #: seconds from a look that did not hold to the next; 1 or more
    poll_interval: ClassVar[float] = 60.0

    @abstractmethod
    def check(self, run: WaitingRun) -> bool | str:
        """Return True where it holds; False, or a text that says what is waited for, where it does not yet.

        What it raises ends the run in error, with that as the reason.
        """


class PolledCondition(Condition):
    """A condition that is looked at again and again, `poll_interval` seconds after the last look: ten by default."""

    poll_interval: ClassVar[float] = 10.0


class ThreadedCondition(Condition):
    """A condition that waits itself: `wait` returns when it holds, however long that takes.

    Each is a process of its own as long as it waits, a hundred at a time. After a restart of the scheduler it is begun
    anew.
    """

    def check(self, run: WaitingRun) -> bool | str:
        """Wait, and then hold."""
        self.wait(run)
        return True

    @abstractmethod
    def wait(self, run: WaitingRun) -> None:
        """Return when it holds; what it raises ends the run in error."""
