"""The pages of a snapshot, put together: which to ask for next, and from which head to go on. Pure."""

from dataclasses import dataclass

from apsis.messages.snapshots import Snap, Snapshot


@dataclass(frozen=True, slots=True)
class AskPage:
    """Ask the scheduler for a page."""

    snap: Snap


@dataclass(frozen=True, slots=True)
class Anew:
    """The pages so far belong to another database: forget them."""


@dataclass(frozen=True, slots=True)
class TakePage:
    """Hand this page over."""

    page: Snapshot


@dataclass(frozen=True, slots=True)
class Whole:
    """That was all: go on with the events after this head."""

    journal: int
    head: int
    #: the scheduler's clock at that head
    now: str


Step = AskPage | Anew | TakePage | Whole


class Collector:
    """Each method takes what came and returns what is to be done, in order."""

    def __init__(self, since: str) -> None:
        """`since`: a time; runs that ended then or later are wanted too. Empty: only those that have not ended."""
        self._since = since
        self._first: Snapshot | None = None
        self._after = ""

    def ask(self) -> list[Step]:
        """Ask for the page that is to come now: at the beginning, and again after a failure."""
        return [AskPage(Snap(after=self._after, since=self._since))]

    def on_page(self, page: Snapshot) -> list[Step]:
        """Take an answer."""
        if self._first is None:
            self._first = page
        elif page.journal != self._first.journal:
            self._first, self._after = None, ""
            return [Anew(), *self.ask()]
        first = self._first
        if page.next is None:
            # the head of the first page: what later ones show of newer things comes again as events
            return [TakePage(page), Whole(first.journal, first.head, first.now)]
        if page.next == self._after:
            raise ValueError(f"the snapshot does not go on from {self._after!r}")
        self._after = page.next
        return [TakePage(page), *self.ask()]
