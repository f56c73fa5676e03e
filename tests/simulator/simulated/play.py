"""Playing seeds: one, with its story; or many, with what happened in them."""

import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from simulated.verdict import judge
from simulated.watcher import Broken
from simulated.world import Bugs, World

#: lines of the story of a failed seed
LAST = 60


@dataclass
class Game:
    """One world at its end."""

    world: World
    #: which promise is broken, and how; "" if none is
    broken: str

    @property
    def story(self) -> str:
        """What a person needs to see of a failed seed."""
        world = self.world
        faults = "\n  ".join(world.history) or "none"
        last = "\n  ".join(list(world.trace)[-LAST:])
        again = f"python tests/simulator/replay.py --seed {world.seed} -v"
        return f"seed {world.seed}: {self.broken}\nfaults:\n  {faults}\nlast events:\n  {last}\nagain: {again}"


@dataclass
class Tally:
    """What happened over many seeds."""

    happened: Counter[str] = field(default_factory=Counter)
    steps: Counter[tuple[str, str]] = field(default_factory=Counter)
    seeds: int = 0


def play(seed: int, *, tracing: bool = False, bugs: Bugs | None = None) -> Game:
    """Play one seed to its end."""
    world = World(seed, tracing=tracing, bugs=bugs)
    broken = ""
    try:
        world.run()
        judge(world)
    except Broken as problem:
        broken = str(problem)
    except Exception:
        broken = f"nothing raises: {traceback.format_exc(limit=-6)}"
    return Game(world, broken)


def play_all(seeds: Iterable[int], bugs: Bugs | None = None) -> Tally:
    """Play seeds up to the first that breaks a promise.

    Raises:
        AssertionError: with the story of that seed.
    """
    tally = Tally()
    for seed in seeds:
        game = play(seed, bugs=bugs)
        if game.broken:
            raise AssertionError(play(seed, tracing=True, bugs=bugs).story)
        tally.happened += game.world.tally
        tally.steps += game.world.watcher.steps
        tally.seeds += 1
    return tally
