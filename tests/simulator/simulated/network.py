"""The hub and its wires: messages are lost, come twice, late, and past each other; the hub itself goes away.

What was sent in one life of a process comes at most `LATEST` seconds later: the real wires keep what one
connection sent in order, and a host takes longer than that to boot or to be given another spool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apsis.messages.dispatch import Ack, Answers, Commands, HostHello, Reports
from apsis.messages.events import Heartbeat, Page, Replay, RunEvent

if TYPE_CHECKING:
    from simulated.world import World

#: seconds after which nothing that was sent arrives any more
LATEST = 2.0
#: seconds that every message takes
SOONEST = 0.0005
#: commands kept, to come again long after
_REMEMBERED = 40


class Network:
    """Carries what processes say to each other."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.up = True
        self.loss = self.double = self.slow = 0.0
        self._era = 0
        #: commands that were sent, with their receiver: some come again when nobody thinks of them
        self.old: list[tuple[str, Commands]] = []

    def send(self, sender: str, to: str, message: Any) -> None:
        """Carry a message, or not."""
        world = self.world
        if world.tracing:
            world.say(sender, f"-> {to}: {tell(message)}")
        if type(message) is Commands:
            self.old = [*self.old[-_REMEMBERED:], (to, message)]
        chance = world.random
        if self.loss and chance.random() < self.loss:
            world.met("message lost")
            return
        copies = 1
        if self.double and chance.random() < self.double:
            world.met("message doubled")
            copies = 2
        for _ in range(copies):
            # what is published keeps its order; a heartbeat is not overtaken by what was published after it
            delay = SOONEST if type(message) is Heartbeat else self._delay()
            world.clock.after(delay, self._deliver, self._era, sender, to, message)

    def ghost(self) -> None:
        """Let an old order to a host come once more."""
        if self.old:
            to, message = self.world.random.choice(self.old)
            self.world.say(to, f"hears old words again: {tell(message)}")
            self.world.clock.after(0.0, self._deliver, self._era, "scheduler", to, message)

    def _delay(self) -> float:
        chance = self.world.random
        if self.slow and chance.random() < self.slow:
            self.world.met("message late")
            return chance.uniform(0.02, LATEST)
        return chance.uniform(SOONEST, 0.004)

    def _deliver(self, era: int, sender: str, to: str, message: Any) -> None:
        process = self.world.processes.get(to)
        if process is None:
            self.world.people.hear(message)
        elif not self.up or era != self._era:
            return
        elif process.alive and process.linked:
            process.guarded(process.hear, message)
        elif sender == "scheduler" and to.startswith("supervisor/"):
            self.world.scheduler.unroutable(to)

    def fall(self) -> None:
        """The hub is killed: what was under way is gone."""
        self.up = False
        self._era += 1
        self.world.say("hub", "is killed")
        for process in self.world.processes.values():
            process.disconnect()

    def rise(self) -> None:
        """The hub is back, and whoever lives finds it."""
        if self.up:
            return
        self.up = True
        self.world.say("hub", "is back")
        for process in self.world.processes.values():
            process.find_hub()


def tell(message: Any) -> str:
    """Say a message in a few words."""
    match message:
        case Commands():
            what = ", ".join(f"{type(i).__name__.lower()} #{i.dispatch} {_whom(i)}" for i in message.items)
            return f"commands of term {message.term}, {message.epoch}/{message.boot}, floor {message.floor}: {what}"
        case Answers():
            return "answers: " + ", ".join(f"#{i.dispatch} {i.run_id} {i.state}" for i in message.items)
        case Reports():
            what = ", ".join(f"{i.seq} {type(i).__name__.lower()} {i.run_id}" for i in message.items)
            return f"reports of {message.epoch}/{message.boot}: {what}"
        case HostHello():
            return f"hello from {message.epoch}/{message.boot}, made {message.seq}, acked {message.acked}"
        case Ack():
            return f"ack {message.seq} of {message.epoch}"
        case Heartbeat():
            return f"heartbeat, head {message.head}"
        case (int(), Replay(since=since)):
            return f"replay since {since}"
        case (int(), Page(last=last, head=head)):
            return f"page up to {last} of {head}"
        case (RunEvent(id=number, run_id=run_id, event=event), _):
            return f"event {number}: {run_id} {event}"
        case _:
            return str(message)[:160]


def _whom(command: Any) -> str:
    return getattr(command, "run_id", "") or ",".join(getattr(command, "run_ids", ()))
