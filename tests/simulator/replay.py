"""Plays one seed of the simulator again and prints what happened: `python tests/simulator/replay.py --seed 7 -v`."""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), *(str(HERE.parents[1] / part) for part in ("", "bus", "services"))]

from simulated.play import play  # noqa: E402 - the path is set above


def main() -> int:
    """Print the story of a seed; returns 1 if it breaks a promise."""
    parser = argparse.ArgumentParser(description="Play one seed of the simulator again.")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("-v", "--verbose", action="store_true", help="print everything that happened")
    parser.add_argument("--grep", default="", help="print only lines that contain this, a run's id say")
    options = parser.parse_args()
    game = play(options.seed, tracing=True)
    lines = list(game.world.trace) if options.verbose or options.grep else list(game.world.trace)[-40:]
    print("\n".join(line for line in lines if options.grep in line))
    print(f"seed {options.seed}: {game.world.clock.count} events in {game.world.clock.now:.0f} s of its time")
    print(f"\nfaults:\n  {chr(10).join(['', *game.world.history]).strip() or 'none'}")
    print(f"\n{'BROKEN: ' + game.broken if game.broken else 'all promises are kept'}")
    return 1 if game.broken else 0


if __name__ == "__main__":
    sys.exit(main())
