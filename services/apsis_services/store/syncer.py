"""When what was written is made durable: the ends of outputs soon, large ones as they grow, together.

Small growth of an output that goes on waits for its end: nothing depends on it but a punched hole, and holes
are made by the MiB.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from apsis_services.store.names import RunKey

#: seconds in which the ends of outputs are gathered
GATHER: Final = 0.2
#: bytes of one stream below which its growth is not worth a sync
WORTH: Final = 1 << 20
#: bytes of all streams at which a sync begins at once
MANY: Final = 32 << 20
#: seconds until a sync that failed is tried again
AGAIN: Final = 1.0

Place = tuple[RunKey, str]


@dataclass(frozen=True, slots=True)
class Round:
    """What one sync makes durable: up to where each stream is then."""

    lengths: Mapping[Place, int]

    @property
    def runs(self) -> set[RunKey]:
        """The runs whose folders are to be synced."""
        return {key for key, _ in self.lengths}


@dataclass(slots=True)
class Syncer:
    """Decides when a round is due. `begin` starts one; `ended` or `failed` must follow."""

    begin: Callable[[Round], None]
    call_later: Callable[[float, Callable[[], None]], object]
    #: up to where each stream was made durable; a stream is in here while it goes on
    durable: dict[Place, int] = field(default_factory=dict)
    _lengths: dict[Place, int] = field(default_factory=dict)
    _urgent: set[Place] = field(default_factory=set)
    _due: bool = False
    _under_way: Round | None = None

    def wrote(self, place: Place, length: int, *, ended: bool) -> None:
        """A stream has this length now; `ended`: somebody waits for its end to be durable."""
        self._lengths[place] = length
        if ended:
            self._urgent.add(place)
            self._later(GATHER)
        elif self._lacking(place) >= WORTH and sum(map(self._lacking, self._lengths)) >= MANY:
            self._later(0.0)
        elif self._lacking(place) >= WORTH:
            self._later(AGAIN)

    def ended(self, done: Round) -> None:
        """A round is done."""
        self._under_way = None
        for place, length in done.lengths.items():
            self.durable[place] = length
            if self._lengths.get(place) == length:
                del self._lengths[place]
                self._urgent.discard(place)
        self._go_on(GATHER)

    def failed(self) -> None:
        """A round could not be done; it is tried again."""
        self._under_way = None
        self._later(AGAIN)

    def forget(self, place: Place) -> None:
        """Nothing more comes of a stream."""
        self.durable.pop(place, None)

    def now(self) -> None:
        """Begin a round if one is due and none is under way."""
        self._due = False
        if self._under_way is not None:
            return
        lengths = {
            place: length
            for place, length in self._lengths.items()
            if place in self._urgent or self._lacking(place) >= WORTH
        }
        if lengths:
            self._under_way = Round(lengths)
            self.begin(self._under_way)

    def _lacking(self, place: Place) -> int:
        return self._lengths[place] - self.durable.get(place, 0)

    def _go_on(self, delay: float) -> None:
        if self._urgent or any(self._lacking(place) >= WORTH for place in self._lengths):
            self._later(delay)

    def _later(self, delay: float) -> None:
        if self._under_way is None and (not self._due or delay == 0.0):
            self._due = True
            self.call_later(delay, self.now)
