"""When what could not be delivered is tried again, and when it is given up. Seconds; pure."""

from typing import Final

#: pause after the first attempt, and the longest one
FIRST: Final = 2.0
LONGEST: Final = 3600.0


def pause(attempts: int, asked: float | None = None) -> float:
    """Return the seconds until the next attempt, after so many; `asked`: the receiver said how long at least."""
    own = min(LONGEST, FIRST * 2.0 ** min(max(0, attempts - 1), 20))
    return max(own, min(asked or 0.0, LONGEST))


def is_over(made: float, now: float, give_up: float) -> bool:
    """Say whether a letter that was decided at `made` is tried no more."""
    return now - made >= give_up
