"""One run's output on its way to the store: its streams, what its claim says of it, and when it is tried again."""

from dataclasses import dataclass
from typing import Final

import msgspec

from apsis.messages.live import SAMPLES
from apsis.messages.outputs import KeepPolicy
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.outputs.spoolfile import SpoolFolder
from apsis_services.supervisor.outputs.tail import Tail
from apsis_services.supervisor.zygote.journal import JournalState

#: seconds without an ack until a stream is sent again, doubling
FIRST_DELAY: Final = 0.5


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run's claim says of its output: bytes kept of it (None: all), and what the store is told of it."""

    cap: int | None = None
    job_id: str = ""
    keep: KeepPolicy | None = None


PLAIN: Final = Terms()


def terms_of(state: JournalState) -> Terms:
    """Return what a run's journal, which has a claim, says of its output; an old claim says nothing."""
    assert state.claim is not None
    keep = state.claim.get("keep")
    policy = None if keep is None else msgspec.convert(keep, KeepPolicy)
    return Terms(state.claim.get("max_bytes"), state.claim["job_id"], policy)


@dataclass(slots=True)
class Output:
    """The streams of one run."""

    key: Key
    folder: SpoolFolder
    streams: dict[str, Tail]
    cap: int | None
    #: told to the store with the end, for retention
    job_id: str = ""
    keep: KeepPolicy | None = None
    #: the journal is archived: the folder may go when all is kept
    forgotten: bool = False
    end_sent: bool = False
    #: found after a restart: ask first how much of it the store has
    probing: bool = False
    #: monotonic seconds; when to send again what was not acked, and how long to wait then
    resend_at: float | None = None
    delay: float = FIRST_DELAY
    #: not before then, unless a whole piece is there
    ready_at: float = 0.0

    @property
    def flying(self) -> tuple[int, int]:
        """Messages and bytes that were sent and not yet acked."""
        tails = self.streams.values()
        return self.end_sent + sum(len(tail.flights) for tail in tails), sum(tail.flying for tail in tails)

    @property
    def lengths(self) -> dict[str, int]:
        """The final lengths; asked for when they are known. Figures are named only where there are some."""
        lengths = {name: tail.final or 0 for name, tail in self.streams.items()}
        return {name: length for name, length in lengths.items() if length or name != SAMPLES}

    @property
    def punched(self) -> dict[str, int]:
        """Up to where each stream is kept elsewhere and emptied here."""
        return {name: tail.punched for name, tail in self.streams.items()}

    @property
    def lost(self) -> dict[str, list[tuple[int, int]]]:
        """What was given up of each stream."""
        return {name: tail.lost for name, tail in self.streams.items() if tail.lost}

    @property
    def ended(self) -> bool:
        """Whether all lengths are final."""
        return all(tail.final is not None for tail in self.streams.values())

    @property
    def settled(self) -> bool:
        """Whether the store has all of it, or there is nothing."""
        return all(tail.settled for tail in self.streams.values())
