"""Failed logins: how many an address may have."""

from collections import OrderedDict
from typing import Final

#: failures in a row before an address must wait
ALLOWED: Final = 10
#: seconds in which one of them is forgiven
FORGIVEN_IN: Final = 6.0
_ADDRESSES: Final = 10_000


class Attempts:
    """A bucket for each address: a failure fills it by one, time empties it."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str, now: float) -> int:
        """Return the seconds until this address may try again, 0: now."""
        level = self._level(address, now)
        return 0 if level < ALLOWED else max(1, int((level - ALLOWED + 1) * FORGIVEN_IN + 0.999))

    def failed(self, address: str, now: float) -> None:
        """Note a failure."""
        self._failures[address] = (self._level(address, now) + 1, now)
        self._failures.move_to_end(address)
        if len(self._failures) > _ADDRESSES:
            self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forget the failures of one who knows the token."""
        self._failures.pop(address, None)

    def _level(self, address: str, now: float) -> float:
        level, at = self._failures.get(address, (0.0, now))
        return max(0.0, level - (now - at) / FORGIVEN_IN)
