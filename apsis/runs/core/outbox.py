"""Committed commands on their way: sent at once, and again until they are answered. Its time is monotonic seconds."""

from dataclasses import dataclass, field
from itertools import groupby

from apsis.messages.batches import batches
from apsis.messages.dispatch import Commands
from apsis.runs.core.rows import CommandRow

#: seconds before an unanswered command is sent again, doubling up to the last
RESEND_FIRST = 0.25
RESEND_LAST = 5.0
#: how many unanswered ones are sent again at a time
AGAIN_AT_MOST = 256


@dataclass(slots=True)
class _Lane:
    """The commands of one host, in order of dispatch."""

    last: int = 0
    open: dict[int, CommandRow] = field(default_factory=dict)
    fresh: list[int] = field(default_factory=list)
    again_at: float | None = None
    delay: float = RESEND_FIRST
    #: the host has greeted this life of ours: it knows our term, and we know what it knows of our database
    is_open: bool = False


class Outbox:
    """What was ordered and is not yet answered; asked by the shell for what to send now.

    Nothing goes to a host before its HELLO: only that shows whether our database is older than what it has done.
    """

    def __init__(self, journal: int, term: int, life: int = 0) -> None:
        #: set anew when the database gets another number
        self.journal = journal
        self.term = term
        self.life = life
        self._lanes: dict[str, _Lane] = {}

    def know(self, host: str, dispatch: int) -> None:
        """Take note of the last number given to a host's commands."""
        lane = self._lanes.setdefault(host, _Lane())
        lane.last = max(lane.last, dispatch)

    def put(self, command: CommandRow) -> None:
        """Take a committed command."""
        self.know(command.host, command.dispatch)
        lane = self._lanes[command.host]
        lane.open[command.dispatch] = command
        lane.fresh.append(command.dispatch)

    def settle(self, host: str, dispatch: int) -> None:
        """Forget a command whose answer is committed."""
        lane = self._lanes[host]
        lane.open.pop(dispatch, None)
        lane.delay = RESEND_FIRST
        if not lane.open:
            lane.again_at = None

    def greet(self, host: str) -> None:
        """Have everything that is unanswered sent at once: the host has just (re)connected."""
        lane = self._lanes.setdefault(host, _Lane())
        lane.is_open = True
        lane.fresh = list(lane.open)
        lane.delay = RESEND_FIRST

    def unanswered(self, host: str) -> int:
        """Return how many commands of a host are not answered."""
        return len(self._lanes[host].open) if host in self._lanes else 0

    def due(self, now: float) -> list[tuple[str, Commands]]:
        """Return what is to be sent now, (host, message), and count it as sent."""
        messages = []
        for host, lane in self._lanes.items():
            if not lane.is_open:
                continue
            numbers = [number for number in lane.fresh if number in lane.open]
            lane.fresh = []
            if lane.again_at is not None and now >= lane.again_at:
                numbers = sorted({*list(lane.open)[:AGAIN_AT_MOST], *numbers})
                lane.delay = min(RESEND_LAST, lane.delay * 2)
                lane.again_at = None
            if numbers and lane.again_at is None:
                lane.again_at = now + lane.delay
            messages += [(host, message) for message in self._messages(lane, numbers)]
        return messages

    def next(self) -> float | None:
        """Return when something is to be sent again, if nothing is answered until then."""
        return min((lane.again_at for lane in self._lanes.values() if lane.again_at is not None), default=None)

    def _messages(self, lane: _Lane, numbers: list[int]) -> list[Commands]:
        """Return commands in messages that the bus carries, each for one (epoch, boot)."""
        floor = min(lane.open, default=lane.last + 1) - 1
        commands = (lane.open[number] for number in numbers)
        return [
            self._message(batch, floor)
            for _, bound in groupby(commands, lambda command: (command.epoch, command.boot))
            for batch in batches(bound, lambda command: command.command)
        ]

    def _message(self, batch: list[CommandRow], floor: int) -> Commands:
        return Commands(
            journal=self.journal,
            term=self.term,
            epoch=batch[0].epoch,
            boot=batch[0].boot,
            floor=floor,
            life=self.life,
            items=[command.command for command in batch],
        )
