"""Who waits for what, so that a transition wakes those alone whom it may let go on.

Each waiting run has one need, and stands in the queue of it. Where many want what few can have (places, resources,
slots) the queue is a line: whoever has the smallest `Order` stands first.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TypeVar

from apsis.runs.core.lines import Claims, Line, Order

K = TypeVar("K")
N = TypeVar("N")


@dataclass(frozen=True, slots=True)
class ForRuns:
    """A run of this job with exactly these args that enters one of these states (None: any). All are woken."""

    job_id: str
    args_key: str
    states: tuple[str, ...] | None = None


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
class ForResource:
    """The line of one resource. Woken one at a time."""

    name: str


@dataclass(frozen=True, slots=True)
class ForResources:
    """Several resources at once: who needs them stands in the line of each."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ForAnswer:
    """What is found when one of its conditions is looked at, outside of the core. It alone is woken."""

    run_id: str
    index: int


@dataclass(frozen=True, slots=True)
class ForHand:
    """A person who starts it: what it waits for does not come by itself."""


@dataclass(frozen=True, slots=True)
class ForClock:
    """A clock that is right. All in the queue are woken."""


@dataclass(frozen=True, slots=True)
class ForRoom:
    """Room on the disk of a host's spool, or of the database (""). All in the queue are woken."""

    host: str


@dataclass(frozen=True, slots=True)
class ForPause:
    """That a paused job ("": everything) goes on. All in the queue are woken."""

    job_id: str


Need = (
    ForAnswer | ForClock | ForHand | ForHost | ForPause | ForPlace | ForResource | ForResources | ForRoom | ForRuns
    | ForSlot
)  # fmt: skip
#: of whose line the first is woken alone
_LINES = (ForPlace, ForResource, ForSlot)
#: a place under `max_running` (job, args) or a resource, of which a waiting run that has got past it claims a part
Claimed = tuple[str, str | None] | str


class Waiting:
    """The queues and lines, and what those in them claim."""

    def __init__(self) -> None:
        #: of those who are woken together, in order of arrival
        self._queues: dict[Need, dict[str, None]] = {}
        self._lines: dict[Need, Line] = {}
        self._need: dict[str, Need] = {}
        #: (job, args or None): the needs for a place there, whatever their count
        self._places: dict[tuple[str, str | None], set[ForPlace]] = {}
        #: (job, args): the needs for a run of it, whatever their states
        self._runs: dict[tuple[str, str], set[ForRuns]] = {}
        self.claims = Claims[Claimed]()
        #: lines whose first may be another, or may get more, than when it was looked at
        self.stirred: dict[Need, None] = {}
        #: run: which of its conditions is to be looked at from now on; None: none is any more
        self.asked: dict[str, int | None] = {}

    def __len__(self) -> int:
        return len(self._need)

    def need(self, run_id: str) -> Need | None:
        """Return what a run waits for."""
        return self._need.get(run_id)

    def put(self, run_id: str, need: Need, order: Order, claims: dict[Claimed, int]) -> None:
        """Let a run wait; one that already waits for the same keeps its place. `claims`: what it has got past."""
        old = self._need.get(run_id)
        if old == need and self.claims.of(run_id) == claims:
            return
        if old is not None:
            self.remove(run_id)
        self._need[run_id] = need
        for key, amount in claims.items():
            self.claims.add(key, run_id, order, amount)
        for line in _lines_of(need):
            self._lines.setdefault(line, Line()).put(run_id, order)
        if not _lines_of(need):
            self._queues.setdefault(need, {})[run_id] = None
        if isinstance(need, ForPlace):
            self._places.setdefault((need.job_id, need.args_key), set()).add(need)
        elif isinstance(need, ForRuns):
            self._runs.setdefault((need.job_id, need.args_key), set()).add(need)
        elif isinstance(need, ForAnswer):
            self.asked[run_id] = need.index

    def remove(self, run_id: str) -> None:
        """Forget a run that waits no more; one that did not wait is no matter."""
        need = self._need.pop(run_id, None)
        if need is None:
            return
        for key in self.claims.drop(run_id):
            # what it claimed may be another's now
            lines = [ForResource(key)] if isinstance(key, str) else self._places.get(key, ())
            self.stirred.update(dict.fromkeys(lines))
        for each in _lines_of(need):
            line = self._lines[each]
            if isinstance(each, ForResource) and line.first() == run_id:
                # it may have needed much, and held up others who need little
                self.stirred[each] = None
            line.remove(run_id)
            if not line:
                del self._lines[each]
                self._forget(each)
        queue = self._queues.get(need)
        if queue is not None:
            del queue[run_id]
            if not queue:
                del self._queues[need]
                self._forget(need)
        if isinstance(need, ForAnswer):
            self.asked[run_id] = None

    def _forget(self, need: Need) -> None:
        """Take a need for which nobody waits any more out of the indexes."""
        if isinstance(need, ForPlace):
            _discard(self._places, (need.job_id, need.args_key), need)
        elif isinstance(need, ForRuns):
            _discard(self._runs, (need.job_id, need.args_key), need)

    def all_of(self, need: Need) -> list[str]:
        """Return everyone in a queue; those in a line in its order."""
        line = self._lines.get(need)
        return line.all() if line is not None else list(self._queues.get(need, ()))

    def first_of(self, need: Need) -> str | None:
        """Return who stands first in a line."""
        line = self._lines.get(need)
        return line.first() if line is not None else None

    def before(self, need: Need, order: Order) -> str | None:
        """Return who stands first in a line, if that is before `order`."""
        line = self._lines.get(need)
        return line.before(order) if line is not None else None

    def places(self, job_id: str, args_key: str) -> Iterator[ForPlace]:
        """Yield the needs that a run of this job, ending, may satisfy."""
        for key in ((job_id, args_key), (job_id, None)):
            yield from tuple(self._places.get(key, ()))

    def for_state(self, job_id: str, args_key: str, state: str) -> list[str]:
        """Return everyone who waits for a run of this job and these args, and to whom this state of it matters."""
        found: list[str] = []
        for need in self._runs.get((job_id, args_key), ()):
            if need.states is None or state in need.states:
                found += self._queues[need]
        return found


def _lines_of(need: Need) -> Collection[Need]:
    """Return the lines in which one stands who has a need; none, where it is no need of that kind."""
    if isinstance(need, ForResources):
        return [ForResource(name) for name in need.names]
    return [need] if isinstance(need, _LINES) else ()


def _discard(index: dict[K, set[N]], key: K, need: N) -> None:
    needs = index[key]
    needs.discard(need)
    if not needs:
        del index[key]
