"""The snapshot: what there is, for readers whose events are no longer kept; and the readers for whom they are kept."""

from typing import Any

from apsis.messages.body import Body
from apsis.runs.run import Run


class Snap(Body, frozen=True, kw_only=True, tag="snap"):
    """Anyone asks the scheduler, by SNAP, for a page of what there is: jobs, then runs. OK carries `Snapshot`."""

    #: `next` of the page before; empty: the first page
    after: str = ""
    #: a time: runs that have ended are given as well, if they ended then or later; empty: none of them
    since: str = ""


class Snapshot(Body, frozen=True, kw_only=True, tag="snapshot"):
    """Scheduler answers `Snap`: at most 500 rows or 512 KiB, and the head, read in one transaction.

    Go on from the head of the first page. Later pages may show what is newer than that: its events come again, so keep
    of each run what has the greater `rev`. Another `journal` than that of the first page: begin anew.
    """

    journal: int
    head: int
    #: the scheduler's clock when it was read
    now: str
    #: as REST shows them
    jobs: list[dict[str, Any]] = []
    runs: list[Run] = []
    #: ids of those in `runs` that are too large for the bus: their args, program, conditions and actions are left out
    elided: list[str] = []
    #: where to go on; None: that was all
    next: str | None = None


class Consumed(Body, frozen=True, kw_only=True, tag="consumed"):
    """A service tells the scheduler how far it has come: events after it are kept until it has come further.

    Sent at each connection and each minute. Answered by `Registered`, or NO `floor`: it was dropped, and what comes
    after its cursor is gone.
    """

    #: of the consumer: letters, digits and `._-`
    name: str
    journal: int
    #: id of the last event whose effect is done
    cursor: int


class Registered(Body, frozen=True, kw_only=True, tag="registered"):
    """Scheduler answers `Consumed`: what comes after the cursor is kept, for 30 days after the consumer's last word."""

    floor: int
    head: int
