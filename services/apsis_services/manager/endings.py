"""Ending the runs themselves, for `stop --kill-runs`: by the spool alone, so it needs no service alive.

Each live run's holder (its shim, or the zygote that adopted it) is given a stop order, the same that the
supervisor writes; the ladder from signal to KILL runs there. Then the zygotes are told to retire.
"""

import json
import os
import socket
from pathlib import Path

from apsis.home import Home
from apsis_services.manager.orphans import find_orphans, order_for
from apsis_services.supervisor.zygote.files import living_generations, near_path, socket_name
from apsis_services.supervisor.zygote.journal import JournalState, parse_key, read_journal, run_directory
from apsis_services.supervisor.zygote.orders import notify, write_stop


def live_runs(home: Home) -> dict[str, JournalState]:
    """Return the runs whose program, or whose leftovers, still live, by the name of their journal."""
    try:
        names = os.listdir(home.spool / "journals")  # noqa: PTH208 - names are all that is wanted
    except FileNotFoundError:
        return {}
    states = {name: read_journal(home.spool / "journals" / name) for name in names if parse_key(name)}
    open_ = {name: state for name, state in states.items() if not state.settled}
    orphans = find_orphans(home, open_)
    return {name: state for name, state in open_.items() if state.locked or name in orphans}


def stop_runs(home: Home, states: dict[str, JournalState], longest: float) -> set[str]:
    """Order runs to stop: each by its own signal and grace, the grace no longer than `longest` seconds.

    Returns those that were reached: a shim reads no orders before it has made its folder, and of a run that has no
    holder nobody reads any (see `orphans`).
    """
    reached = set()
    for name, state in states.items():
        key = parse_key(name)
        if key is None:
            continue
        directory = Path(run_directory(home.spool, *key))
        if directory.is_dir():
            write_stop(directory, order_for(state, longest))
            if state.locked:
                notify(state)
                reached.add(name)
    return reached


def retire_zygotes(home: Home) -> int:
    """Tell each zygote to end with its last run; return how many live."""
    try:
        generations = living_generations(str(home.run))
    except FileNotFoundError:
        return 0
    for generation in generations:
        _retire(home, generation)
    return len(generations)


def _retire(home: Home, generation: int) -> None:
    directory = os.open(home.run, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(1)
            sock.connect(near_path(directory, socket_name(generation)))
            sock.send(json.dumps({"do": "retire"}).encode())
    except OSError:  # it has just ended, or begins: the next round sees which
        return
    finally:
        os.close(directory)
