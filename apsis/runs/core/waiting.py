"""Who waits for what: each waiting run stands in exactly one queue, so that a transition wakes those alone."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ForRuns:
    """A run of this job with exactly these args, in some state. All in the queue are woken."""

    job_id: str
    args_key: str


@dataclass(frozen=True, slots=True)
class ForPlace:
    """A place among at most `count` runs of this job (with these args; None: with any). Woken one at a time."""

    job_id: str
    args_key: str | None
    count: int


@dataclass(frozen=True, slots=True)
class ForHost:
    """A host whose supervisor cannot be reached. All in the queue are woken."""

    host: str


@dataclass(frozen=True, slots=True)
class ForSlot:
    """One of the runs at a time of a host. Woken one at a time."""

    host: str


@dataclass(frozen=True, slots=True)
class ForClock:
    """A clock that is right. All in the queue are woken."""


@dataclass(frozen=True, slots=True)
class ForRoom:
    """Room on the disk of a host's spool, or of the database (""). All in the queue are woken."""

    host: str


Need = ForRuns | ForPlace | ForHost | ForSlot | ForClock | ForRoom


class Waiting:
    """The queues, in order of arrival."""

    def __init__(self) -> None:
        self._queues: dict[Need, OrderedDict[str, None]] = {}
        self._need: dict[str, Need] = {}
        #: (job, args or None): the needs for a place there, whatever their count
        self._places: dict[tuple[str, str | None], set[ForPlace]] = {}

    def __len__(self) -> int:
        return len(self._need)

    def need(self, run_id: str) -> Need | None:
        """Return what a run waits for."""
        return self._need.get(run_id)

    def put(self, run_id: str, need: Need) -> None:
        """Let a run wait for something; one that already waits for it keeps its place."""
        old = self._need.get(run_id)
        if old == need:
            return
        if old is not None:
            self.remove(run_id)
        self._need[run_id] = need
        self._queues.setdefault(need, OrderedDict())[run_id] = None
        if isinstance(need, ForPlace):
            self._places.setdefault((need.job_id, need.args_key), set()).add(need)

    def remove(self, run_id: str) -> None:
        """Forget a run that waits no more; one that did not wait is no matter."""
        need = self._need.pop(run_id, None)
        if need is None:
            return
        queue = self._queues[need]
        del queue[run_id]
        if queue:
            return
        del self._queues[need]
        if isinstance(need, ForPlace):
            places = self._places[need.job_id, need.args_key]
            places.discard(need)
            if not places:
                del self._places[need.job_id, need.args_key]

    def all_of(self, need: Need) -> list[str]:
        """Return everyone in a queue."""
        return list(self._queues.get(need, ()))

    def first_of(self, need: Need) -> str | None:
        """Return who stands first in a queue."""
        queue = self._queues.get(need)
        return next(iter(queue)) if queue else None

    def places(self, job_id: str, args_key: str) -> Iterator[ForPlace]:
        """Yield the needs that a run of this job, ending, may satisfy."""
        for key in ((job_id, args_key), (job_id, None)):
            yield from tuple(self._places.get(key, ()))
