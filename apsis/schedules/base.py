"""The base class of schedules that users bring."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

#: a due time with its zone, and the names that the schedule offers to the run made for it
Due = tuple[datetime, Mapping[str, Any]]


class Schedule(ABC):
    """Due times of your own.

    A job names the class by its dotted path, its short name or its entry point, and its other keys are the keyword
    arguments of `__init__`; the keys that every schedule has (`enabled`, `args`, `start_date`, ...) are Apsis's.

        class FullMoon(apsis.Schedule):
            def __init__(self, hour: int = 0) -> None:
                self.hour = hour

            def times(self, after):
                for night in full_moons(after):
                    yield night, {"date": night.date().isoformat()}

    It yields due times and offered names, nothing else: which of the names become args, and which args the job gives
    itself, is decided by Apsis. It must give the same times whenever it is asked the same.
    """

    @abstractmethod
    def times(self, after: datetime) -> Iterable[Due | datetime]:
        """Yield the due times strictly after an instant (UTC), in order, each with its zone; the end may never come.

        What raises, has no zone, goes backwards or does not get on is an error of the job, and of no other.
        """

    @property
    def text(self) -> str:
        """What a person reads of it: `each full moon at 0 h`."""
        return type(self).__name__
