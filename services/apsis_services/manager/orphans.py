"""Runs of which something lives and that nobody keeps: shim and zygote are dead. For `stop --kill-runs`.

No order reaches them, so they are signalled from here: every process that carries the run's tag.
"""

from collections.abc import Mapping
from typing import Final

from apsis.home import Home
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.watching.orphans import find_tagged
from apsis_services.supervisor.zygote.identity import Identity, boot_id, read_stat, signal_verified
from apsis_services.supervisor.zygote.journal import JournalState, parse_key
from apsis_services.supervisor.zygote.orders import StopOrder

_BY: Final = "apsisctl stop --kill-runs"
_TERM: Final = 15
_KILL: Final = 9


def order_for(state: JournalState, longest: float) -> StopOrder:
    """Return the order that ends a run: by its own signal and grace, the grace no longer than `longest` seconds."""
    stop = state.claim["stop"] if state.claim else None
    return StopOrder(stop["signal"] if stop else _TERM, min(stop["grace"] if stop else longest, longest), _BY)


def find_orphans(home: Home, states: Mapping[str, JournalState]) -> dict[str, list[Identity]]:
    """Return what lives of the runs without a holder, by the name of their journal."""
    free = {name: state for name, state in states.items() if not state.locked and not state.settled}
    if not free:
        return {}
    boot = boot_id()
    keys = {Key(*key): name for name, state in free.items() if state.boot == boot and (key := parse_key(name))}
    try:
        epoch = (home.spool / "epoch").read_text().strip()
    except FileNotFoundError:
        return {}
    found = find_tagged(epoch, keys)
    for key, name in keys.items():
        program = _program(free[name])
        if program is not None and program not in found[key]:
            found[key].append(program)  # it has cleared its environment
    return {keys[key]: living for key, living in found.items() if living}


def _program(state: JournalState) -> Identity | None:
    """Return the main program while it lives."""
    if not state.pid or not state.ticks:
        return None
    stat = read_stat(state.pid)
    return stat.identity if stat is not None and stat.living and stat.ticks == state.ticks else None


class Orphans:
    """Ends them: the stop signal once, and KILL after the grace, to all that is found again."""

    def __init__(self, home: Home, longest: float) -> None:
        self._home = home
        self._longest = longest
        #: journal: when its processes were first signalled (monotonic)
        self._since: dict[str, float] = {}

    def stop(self, states: Mapping[str, JournalState], now: float) -> None:
        """Do what is due; `now` is monotonic."""
        for name, living in find_orphans(self._home, states).items():
            order = order_for(states[name], self._longest)
            if name not in self._since:
                self._since[name] = now
                number = order.signal
            elif now >= self._since[name] + order.grace:
                number = _KILL
            else:
                continue
            for who in living:
                _signal(who, number)


def _signal(who: Identity, number: int) -> None:
    try:
        signal_verified(*who, number)
    except PermissionError:
        return  # another user's, and we are not root: it is counted among those that are left
