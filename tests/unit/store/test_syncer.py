"""When output is made durable: ends soon and together, large growth by the MiB, small growth not at all."""

from apsis_services.store.names import RunKey
from apsis_services.store.syncer import GATHER, MANY, WORTH, Round, Syncer

ONE, TWO = (RunKey(1, "r1"), "output"), (RunKey(1, "r2"), "output")


class Rig:
    """A syncer whose time a test moves, and the rounds that it began."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, object]] = []
        self.rounds: list[Round] = []
        self.syncer = Syncer(self.rounds.append, lambda delay, call: self.calls.append((delay, call)))

    def ring(self) -> list[float]:
        delays = []
        while self.calls:
            delay, call = self.calls.pop(0)
            delays.append(delay)
            call()  # type: ignore[operator]
        return delays


def test_the_ends_of_many_outputs_are_one_round() -> None:
    rig = Rig()
    rig.syncer.wrote(ONE, 5, ended=True)
    rig.syncer.wrote(TWO, 6, ended=True)
    assert rig.ring() == [GATHER]
    assert [round.lengths for round in rig.rounds] == [{ONE: 5, TWO: 6}]


def test_small_growth_waits_for_its_end() -> None:
    rig = Rig()
    rig.syncer.wrote(ONE, WORTH - 1, ended=False)
    assert rig.ring() == []
    rig.syncer.wrote(ONE, MANY, ended=False)
    assert rig.ring() == [0.0]


def test_what_came_during_a_round_is_in_the_next() -> None:
    rig = Rig()
    rig.syncer.wrote(ONE, MANY, ended=False)
    rig.ring()
    rig.syncer.wrote(ONE, MANY + 5, ended=True)
    assert rig.ring() == [], "one at a time"
    rig.syncer.ended(rig.rounds[0])
    assert rig.syncer.durable[ONE] == MANY
    rig.ring()
    rig.syncer.ended(rig.rounds[1])
    assert rig.syncer.durable[ONE] == MANY + 5
    assert rig.ring() == [], "nothing wakes up for what is durable"


def test_a_round_that_failed_is_tried_again() -> None:
    rig = Rig()
    rig.syncer.wrote(ONE, 5, ended=True)
    rig.ring()
    rig.syncer.failed()
    rig.ring()
    assert [round.lengths for round in rig.rounds] == [{ONE: 5}] * 2
