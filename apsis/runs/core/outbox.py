"""Committed commands on their way: sent at once, and again until they are answered. Its time is monotonic seconds."""

from dataclasses import dataclass, field

from apsis.messages.dispatch import Commands
from apsis.runs.core.rows import CommandRow

#: seconds before an unanswered command is sent again, doubling up to the last
RESEND_FIRST = 0.25
RESEND_LAST = 5.0
#: commands in one message, and how many unanswered ones are sent again at a time
AT_ONCE = 64
AGAIN_AT_MOST = 256


@dataclass(slots=True)
class _Lane:
    """The commands of one host, in order of dispatch."""

    last: int = 0
    open: dict[int, CommandRow] = field(default_factory=dict)
    fresh: list[int] = field(default_factory=list)
    again_at: float | None = None
    delay: float = RESEND_FIRST


class Outbox:
    """What was ordered and is not yet answered; asked by the shell for what to send now."""

    def __init__(self, journal: int, term: int) -> None:
        self.journal = journal
        self.term = term
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
        lane.fresh = list(lane.open)
        lane.delay = RESEND_FIRST

    def unanswered(self, host: str) -> int:
        """Return how many commands of a host are not answered."""
        return len(self._lanes[host].open) if host in self._lanes else 0

    def due(self, now: float) -> list[tuple[str, Commands]]:
        """Return what is to be sent now, (host, message), and count it as sent."""
        messages = []
        for host, lane in self._lanes.items():
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
        """Return commands in messages of at most `AT_ONCE`, each for one (epoch, boot)."""
        messages = []
        floor = min(lane.open, default=lane.last + 1) - 1
        batch: list[CommandRow] = []
        for command in (lane.open[number] for number in numbers):
            if batch and ((command.epoch, command.boot) != (batch[0].epoch, batch[0].boot) or len(batch) == AT_ONCE):
                messages.append(self._message(batch, floor))
                batch = []
            batch.append(command)
        if batch:
            messages.append(self._message(batch, floor))
        return messages

    def _message(self, batch: list[CommandRow], floor: int) -> Commands:
        return Commands(
            journal=self.journal,
            term=self.term,
            epoch=batch[0].epoch,
            boot=batch[0].boot,
            floor=floor,
            items=[command.command for command in batch],
        )
