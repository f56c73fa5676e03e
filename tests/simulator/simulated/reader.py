"""A reliable consumer: the real core of the bus, before a table of its own in which effects and cursor stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulated.process import Process

from apsis.messages.events import Event, Heartbeat, JobEvent, Page, Replay, RunEvent
from apsis.runs.run import Run
from apsis_bus.consumer import Ask, Consumer, Reset, Step, Take

if TYPE_CHECKING:
    from simulated.world import World

#: seconds that an answer to a replay may take
ANSWER = 3.0
PAUSE = 0.5


class Reader(Process):
    """Keeps runs as the events say. An event's id is the key of its effect, so a repeated one has none."""

    def __init__(self, world: World) -> None:
        super().__init__(world, "reader")
        # what it keeps on its disk
        self.runs: dict[str, Run] = {}
        self.done: dict[int, Event] = {}
        self.cursor = 0
        self.journal = 0
        #: up to here a snapshot stands in for the events
        self.snapshot = 0

    def begin(self) -> None:
        """Go on from the cursor."""
        self._core = Consumer(self.cursor, self.journal)
        self._handed = self.cursor
        self._asked = self.life * 1000  # an answer to an earlier life is none to this one
        self.linked = False
        if self.world.network.up:
            self.later(0.04, self.find_hub)

    def find_hub(self) -> None:
        """Connect; the hub says what it remembers of the head."""
        if self.alive and not self.linked and self.world.network.up:
            self.linked = True
            self.guarded(self._do, self._core.on_welcome(self.journal, self.cursor))

    def disconnect(self) -> None:
        """The hub is gone."""
        self.linked = False

    def hear(self, message: Any) -> None:
        """Take a message."""
        if isinstance(message, Heartbeat):
            self._do(self._core.on_head(message.journal, message.head))
        elif isinstance(message[0], int):
            self._hear_answer(*message)
        else:
            event, journal = message
            self._do(self._core.on_event(event, journal))

    def _hear_answer(self, number: int, answer: Page | str) -> None:
        if number != self._asked:  # nobody waits for it any more
            return
        self._asked += 1
        self._do(self._core.on_page(answer) if isinstance(answer, Page) else self._core.on_floor())

    def _do(self, steps: list[Step]) -> None:
        for step in steps:
            match step:
                case Take(events):
                    for event in events:
                        self._take(event)
                case Ask(since):
                    self._ask(since)
                case Reset(reason):
                    self.world.met(f"reader reset: {reason}")
                    self.world.watcher.reset(reason)
                    self.later(self.world.random.uniform(0.01, 0.5), self._take_snapshot)

    def _ask(self, since: int) -> None:
        self._asked += 1
        self.later(ANSWER, self._give_up, self._asked)
        if self.linked:
            self.world.network.send(self.name, "scheduler", (self._asked, Replay(since=since)))

    def _give_up(self, number: int) -> None:
        if number == self._asked:
            self._core.on_failure()
            self.later(PAUSE, self._again, number)

    def _again(self, number: int) -> None:
        if number == self._asked:
            self._do(self._core.ask())

    def _take(self, event: Event) -> None:
        self.world.watcher.handed(self._handed, event)
        self._handed = event.id
        if self.world.bugs.cursor_first:
            self.cursor, self.journal = event.id, self._core.journal
            self.reach("between cursor and effect")
        if event.id not in self.done:
            self._apply(event)
        self.reach("between effect and cursor")
        self.cursor, self.journal = event.id, self._core.journal

    def _apply(self, event: Event) -> None:
        self.done[event.id] = event
        if isinstance(event, RunEvent):
            if event.run is None:
                self.runs.pop(event.run_id, None)
            else:
                self.runs[event.run_id] = event.run
        elif isinstance(event, JobEvent):
            for run_id in event.withdrawn:
                self.runs.pop(run_id, None)

    def _take_snapshot(self) -> None:
        tables = self.world.scheduler.tables
        self.runs = {row.run.run_id: row.run for row in tables.runs.values()}
        self.cursor = self.snapshot = self._handed = len(tables.events)
        self.done = {number: event for number, event in self.done.items() if number <= self.cursor}
        self.journal = tables.journal
        self._do(self._core.restart(self.cursor, self.journal))
