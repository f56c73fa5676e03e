"""The ring of recent changes: what a socket that comes back after a break has missed."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from apsis_bus import topics
from apsis_web.rows import number_of

#: changes remembered
KEPT: Final = 20_000


@dataclass(frozen=True, slots=True)
class Change:
    """One event: which run or which job it changed."""

    seq: int
    num: int | None = None
    job_id: str | None = None
    #: the line of the action log, JSON; None where the event came from the database at the start
    entry: bytes | None = None


class Changes:
    """The last `KEPT` changes, without gap."""

    def __init__(self, head: int = 0) -> None:
        #: every change after this event is remembered
        self.floor = head
        self._ring: deque[Change] = deque(maxlen=KEPT)

    @classmethod
    def of_events(cls, head: int, events: list[tuple[int, str | None, str]]) -> "Changes":
        """Return the ring that rows of `v_event` make, as far back as they are dense."""
        changes = cls(head)
        dense = events[len(events) - _dense(head, events) :]
        changes.floor = head - len(dense)
        changes._ring.extend(_of_event(*event) for event in dense)
        return changes

    def add(self, change: Change) -> None:
        """Remember a change; the oldest one goes."""
        if len(self._ring) == KEPT:
            self.floor = self._ring[0].seq
        self._ring.append(change)

    def reaches(self, seq: int) -> bool:
        """Tell whether all that changed after `seq` is remembered."""
        return seq >= self.floor

    def since(self, seq: int) -> Iterator[Change]:
        """Yield what changed after `seq`, latest first."""
        for change in reversed(self._ring):
            if change.seq <= seq:
                return
            yield change


def _dense(head: int, events: list[tuple[int, str | None, str]]) -> int:
    """Count how many of the last events follow each other without a gap up to the head."""
    count = 0
    for event_id, _, _ in reversed(events):
        if event_id != head - count:
            break
        count += 1
    return count


def _of_event(event_id: int, run_id: str | None, topic: str) -> Change:
    if run_id:
        return Change(event_id, num=number_of(run_id))
    kind, _, rest = topic.removeprefix(topics.EVENTS).partition("/")
    return Change(event_id, job_id=topics.parts(topics.VERSION + rest)[0] if kind == "job" and rest else None)
