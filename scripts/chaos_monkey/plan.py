"""What is going to happen: runs, what people do to them, and blows. All of it follows from the seed."""

import random
from dataclasses import dataclass, field
from typing import Final

#: runs a second that two cores carry at the default pace, and blows for each of those
RATE: Final = 10.0
LONG: Final = (10.0, 20.0)
SELF_SIGNALS: Final = (1, 2, 6, 9, 10, 11, 15)
SERVICES: Final = ("manager", "hub", "scheduler", "supervisor", "store", "web", "alerts", "zygote")
#: what a blow falls on, and how often beside the others
WEIGHTS: Final = {**dict.fromkeys(SERVICES, 2), "scheduler": 3, "supervisor": 4, "zygote": 3, "shim": 6, "program": 4}
#: seconds that a stopped process stays stopped
STOPPED: Final = (0.5, 5.0)


@dataclass(frozen=True, slots=True)
class Unit:
    """One planned run: what its program does, how it is asked for, and what a person does to it."""

    number: int
    #: seconds from the beginning at which it is asked for, or due
    at: float
    #: `submitted`, `timed` (submitted for a later time), `scheduled` (by a schedule in a job file)
    how: str
    split: bool
    seconds: float
    #: bytes printed on each stream; `err` only where they are split
    out: int
    err: int
    pieces: int
    code: int
    signal: int
    deaf: bool
    fork: bool
    #: 0: none; 1: a grandchild in a session of its own; 2: one that ignores TERM
    daemon: int
    #: `stop` or `kill` by REST that many seconds after it was due, or None
    act: tuple[str, float] | None

    @property
    def words(self) -> str:
        """The plan as its program reads it."""
        return (
            f"n={self.number} seconds={self.seconds} out={self.out} err={self.err} pieces={self.pieces} "
            f"code={self.code} signal={self.signal} deaf={int(self.deaf)} fork={int(self.fork)} daemon={self.daemon}"
        )

    @property
    def sizes(self) -> dict[str, tuple[str, int]]:
        """Output stream of Apsis: (stream of the program, bytes planned)."""
        if self.split:
            return {"stdout": ("out", self.out), "stderr": ("err", self.err)}
        return {"output": ("out", self.out)}


@dataclass(frozen=True, slots=True)
class Blow:
    """One thing done to one process: at a moment, or at a named point in its code."""

    at: float
    #: `kill`, `stop` (continued after `seconds`), or `point`
    kind: str
    #: the kind of process, for a point too: what is hit instead where the point is not reached
    target: str
    #: for a point: its name, and `kill`, `stop` or `sleep`
    point: str = ""
    verb: str = ""
    seconds: float = 0.0
    #: for the manager: seconds until somebody starts it again
    away: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole storm."""

    seed: int
    #: seconds over which runs become due and blows fall
    seconds: float
    units: list[Unit] = field(default_factory=list)
    blows: list[Blow] = field(default_factory=list)


def make_plan(
    runs: int,
    kills: int,
    seed: int,
    seconds: float | None,
    points: list[str],
    cores: int,
    *,
    points_alone: bool = False,
) -> Plan:
    """Return the plan of a seed; `seconds` None: at the default pace. `points` are the names there are.

    With `points_alone` every blow falls at one of them: a kill, or what stands after the name, as in `hub.routed=stop`.
    """
    dice = random.Random(seed)
    length = seconds if seconds is not None else max(4.0, runs / (RATE * min(cores, 8) / 2))
    plan = Plan(seed, length)
    plan.units.extend(_unit(dice, number, length) for number in range(runs))
    deck = _deck(dice, kills, points, kills if points_alone else 2 * kills // 5)
    for number, (kind, target, point) in enumerate(deck):
        # one in each of as many equal parts, so that a run of bad luck does not end all services at once for long
        at = length * (number + dice.random()) / max(1, kills)
        seconds_stopped = round(dice.uniform(*STOPPED), 2)
        verb = dice.choices(("kill", "stop", "sleep"), (6, 2, 1))[0] if point else ""
        point, _, asked = point.partition("=")
        if points_alone:
            verb = asked or "kill"
        away = round(dice.choice((0.0, 0.0, 0.5, 2.0)), 1)
        plan.blows.append(Blow(at, kind, target, point, verb, seconds_stopped, away))
    return plan


def _unit(dice: random.Random, number: int, length: float) -> Unit:
    how = dice.choices(("submitted", "timed", "scheduled"), (70, 20, 10))[0]
    seconds = round(dice.choices((0.0, dice.uniform(0.0, 2.0), dice.uniform(*LONG)), (25, 72, 3))[0], 2)
    at = dice.uniform(0.0, length if seconds < LONG[0] else max(1.0, length - seconds))
    split = dice.random() < 0.25
    big = dice.random() < 0.02
    out = dice.randrange(1 << 20, 4 << 20) if big else dice.choice((0, 1, 100, 5_000, dice.randrange(100_000)))
    err = dice.choice((0, 63, dice.randrange(20_000))) if split else 0
    ends = dice.random()
    code = dice.choice((1, 2, 3, 77, 255)) if 0.6 < ends < 0.85 else 0
    signal = dice.choice(SELF_SIGNALS) if ends >= 0.85 else 0
    act = None
    if dice.random() < (0.05 if seconds < LONG[0] else 0.3):
        act = (dice.choice(("stop", "stop", "kill")), round(dice.uniform(0.0, seconds + 0.3), 2))
    return Unit(
        number=number,
        at=round(at, 3),
        how=how,
        split=split,
        seconds=seconds,
        out=out,
        err=err,
        pieces=dice.randint(1, 6 if seconds < LONG[0] else 20),
        code=code,
        signal=signal,
        deaf=dice.random() < 0.08,
        fork=dice.random() < 0.15,
        daemon=dice.choices((0, 1, 2), (90, 8, 2))[0],
        act=act,
    )


def _deck(dice: random.Random, kills: int, points: list[str], at_points: int) -> list[tuple[str, str, str]]:
    """Return (kind, target, point) of each blow, shuffled: so many at points, each of them as often as the others.

    Of the rest each kind of process is killed once before chance decides.
    """
    at_points = at_points if points else 0
    order: list[str] = []
    while len(order) < at_points:
        order += dice.sample(points, len(points))
    deck = [("point", point.partition(".")[0], point) for point in order[:at_points]]
    deck += [("kill", target, "") for target in dice.sample(list(WEIGHTS), len(WEIGHTS))][: kills - at_points]
    while len(deck) < kills:
        target = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        deck.append((dice.choices(("kill", "stop"), (7, 3))[0], target, ""))
    dice.shuffle(deck)
    return deck
