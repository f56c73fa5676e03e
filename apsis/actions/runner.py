"""The process of an action of a user's class: `python -m apsis.actions.runner PATH KEYS`, the event on standard input.

Ends with 0 where the action returned; 1 where it raised, with the traceback; 125 where there is no such class; by
SIGALRM where it took longer than its `timeout`.
"""

import asyncio
import inspect
import json
import signal
import sys
import traceback

from apsis.actions.base import Action
from apsis.extensions import ExtensionError, load_class, make

#: as `apsis.programs.base` has it
NOT_CARRIED_OUT = 125


def main() -> int:
    """Make the action that the command line names and carry it out; return the exit status."""
    path, keys = sys.argv[1], json.loads(sys.argv[2])
    event = json.load(sys.stdin)
    try:
        action = make(load_class(path, Action, "action"), keys, path)  # type: ignore[type-abstract]  # which it checks
    except ExtensionError as error:
        print(f"{error.message}; {error.hint}" if error.hint else error.message, file=sys.stderr)
        return NOT_CARRIED_OUT
    # without a handler: it ends the process, whatever that does
    signal.setitimer(signal.ITIMER_REAL, max(0.001, float(action.timeout)))
    try:
        done = action.act(event)
        if inspect.isawaitable(done):
            asyncio.run(_awaited(done))
    except Exception as error:  # noqa: BLE001  whatever a user's class raises is its author's to read
        traceback.print_exception(error)
        return 1
    return 0


async def _awaited(done: object) -> None:
    await done  # type: ignore[misc]  # it was looked at before


if __name__ == "__main__":
    sys.exit(main())
