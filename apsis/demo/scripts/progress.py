"""Pretend to work, with a progress bar that is drawn over itself, and with colours."""

import argparse
import time

GREEN, YELLOW, BOLD, OFF = "\x1b[32m", "\x1b[33m", "\x1b[1m", "\x1b[0m"
WIDTH = 40


def main() -> None:
    """Draw the bar ten times a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12)
    seconds = parser.parse_args().seconds
    steps = max(int(seconds * 10), 1)
    print(f"{BOLD}Polishing the bell{OFF}", flush=True)
    for step in range(1, steps + 1):
        time.sleep(seconds / steps)
        share = step / steps
        done = round(share * WIDTH)
        colour = GREEN if step == steps else YELLOW
        print(f"\r{colour}[{'=' * done}{' ' * (WIDTH - done)}]{OFF} {share:4.0%}", end="", flush=True)
        if step % max(steps // 4, 1) == 0:
            print(f"\n{step} of {steps} rubs", flush=True)
    print(f"{GREEN}{BOLD}It shines.{OFF}")


if __name__ == "__main__":
    main()
