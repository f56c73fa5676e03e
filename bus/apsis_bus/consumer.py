"""The reliable consumer: from a carrier that loses and repeats, every event once and in order.

`Consumer` decides and touches nothing; `follower` asks and hands over. A cursor is the id of the last
event that was handed over; ids are dense, so a hole in them is a loss, and what was lost is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from apsis.messages.events import Event, Page

#: events kept that came while the ones before them are being asked for; beyond it they are asked for again
HELD_MAX: Final = 2_000


@dataclass(frozen=True, slots=True)
class Take:
    """Hand these over; they are the next ones."""

    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the scheduler for what comes after `since`."""

    since: int


@dataclass(frozen=True, slots=True)
class Reset:
    """The past cannot be had: take a snapshot, then go on from its head.

    `floor`: it is no longer kept; `journal`: it is another database; `behind`: the database has lost its
    last events, and their ids will be given again.
    """

    reason: str


Step = Take | Ask | Reset


@dataclass(slots=True)
class Consumer:
    """The pure core. Each method takes what came and returns what is to be done, in order.

    `cursor` None means "from now on": the first word about the head becomes the cursor. `journal` 0 means
    that any is right, and the first that is heard becomes it.
    """

    cursor: int | None
    journal: int
    #: a replay is under way
    asking: bool = False
    #: the cursor with which it was asked for
    asked_at: int = 0
    #: after a Reset: nothing is done before `restart`
    halted: bool = False
    _held: dict[int, Event] = field(default_factory=dict)

    def restart(self, cursor: int | None, journal: int) -> list[Step]:
        """Go on from the head of a snapshot."""
        self.cursor, self.journal = cursor, journal
        self.asking = self.halted = False
        self._held.clear()
        return self.ask()

    def ask(self) -> list[Step]:
        """Ask for whatever was missed: after a (re)connection, and to try a failed replay again."""
        if self.asking or self.halted or self.cursor is None:
            return []
        self.asking, self.asked_at = True, self.cursor
        return [Ask(self.cursor)]

    def on_welcome(self, journal: int, head: int) -> list[Step]:
        """Take the hub's word at a connection: good enough as "now", not as a reason to think anything lost."""
        if journal and self.cursor is None:
            self.cursor, self.journal = head, self.journal or journal
        return self.ask()

    def on_event(self, event: Event, journal: int) -> list[Step]:
        """Take a published event: the next one, one that was seen before, or one after a gap."""
        if self.halted:
            return []
        if self._is_foreign(journal):
            return self._reset("journal")
        if self.cursor is None:
            self.cursor = event.id - 1
        if event.id <= self.cursor:
            return []
        if event.id > self.cursor + 1:
            if len(self._held) < HELD_MAX:
                self._held[event.id] = event
            return self.ask()
        self.cursor = event.id
        return [Take([event, *self._release()])]

    def on_head(self, journal: int, head: int) -> list[Step]:
        """Take the scheduler's word about its last event; the hub's memory of it is not good enough."""
        if self.halted:
            return []
        if self._is_foreign(journal):
            return self._reset("journal")
        if self.cursor is None:
            self.cursor = head
        if head < self.cursor:
            return self._reset("behind")
        return self.ask() if head > self.cursor else []

    def on_page(self, page: Page) -> list[Step]:
        """Take the answer to an Ask."""
        if self.halted or not self.asking or self.cursor is None:
            return []
        self.asking = False
        if self._is_foreign(page.journal):
            return self._reset("journal")
        if page.head < self.asked_at:
            # less than the present cursor says nothing: what was published after the page was read may come before it
            return self._reset("behind")
        before = self.cursor
        events = self._next_of(page)
        if page.last > self.cursor or any(event.id > self.cursor for event in page.events):
            # ids are dense: what a page of all events leaves out is gone, and must not be passed over in silence
            return [*([Take(events)] if events else []), *self._reset("floor")]
        events += self._release()
        steps: list[Step] = [Take(events)] if events else []
        # a page that brings nothing would be asked for again at once, for ever: the next word of a head does it
        if self.cursor > before and (page.head > self.cursor or self._held):
            steps += self.ask()
        return steps

    def on_floor(self) -> list[Step]:
        """Take the answer that what was asked for is no longer kept."""
        return [] if self.halted else self._reset("floor")

    def on_failure(self) -> None:
        """Take it that no answer came; `ask` again later."""
        self.asking = False

    def _next_of(self, page: Page) -> list[Event]:
        """Return the events of a page that are next, as far as they are dense."""
        events: list[Event] = []
        cursor = self.cursor or 0
        for event in page.events:
            if event.id == cursor + 1:
                events.append(event)
                cursor += 1
        self.cursor = cursor
        return events

    def _is_foreign(self, journal: int) -> bool:
        if self.journal == 0:
            self.journal = journal
        return journal != self.journal

    def _release(self) -> list[Event]:
        """Return the held events that are next now, and drop those that came another way."""
        cursor = self.cursor or 0
        events = []
        while (event := self._held.pop(cursor + 1, None)) is not None:
            cursor += 1
            events.append(event)
        self.cursor = cursor
        self._held = {number: event for number, event in self._held.items() if number > cursor}
        return events

    def _reset(self, reason: str) -> list[Step]:
        self.halted = True
        self.asking = False
        self._held.clear()
        return [Reset(reason)]
