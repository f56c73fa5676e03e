"""The process of a `python` program, and of a class that users bring: `python -m apsis.programs.runner WHAT NAME JSON`.

A `function` is imported from `package.module:name` and called with the JSON's `kwargs`; for a `class` see
`apsis.programs.following`. For a function the standard library is enough, so that any interpreter can run this file.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and sys.path and not getattr(sys.flags, "safe_path", False):
    # run as a file: its folder has modules whose names are those of the library's too
    del sys.path[0]

import importlib
import json
import traceback
from collections.abc import Callable
from typing import Any, Final, NoReturn

#: as `apsis.programs.base` has it, which another interpreter need not have
NOT_CARRIED_OUT: Final = 125


def main() -> int:
    """Do what the command line says; return the exit status."""
    what, name, payload = sys.argv[1:4]
    for stream in (sys.stdout, sys.stderr):
        # what is printed is seen at once, and in its order
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    given = json.loads(payload)
    if what == "class":
        from apsis.programs.following import carry_out

        sys.path[:0] = [""]
        return carry_out(name, given)
    # as `python -m` has it: what lies in the working directory can be imported
    sys.path[:0] = [""]
    function = _find(name)
    try:
        result = function(**given["kwargs"])
        if hasattr(result, "__await__"):
            import asyncio

            result = asyncio.run(_awaited(result))
    except Exception as error:  # noqa: BLE001  whatever a user's function raises is its author's to read
        tell(error)
        return 1
    return status_of(result)


def status_of(result: Any) -> int:
    """Return the exit status that a function's result means; what is no status is printed, as JSON where it can be."""
    if result is None or result is True:
        return 0
    if result is False:
        return 1
    if isinstance(result, int):
        if not 0 <= result <= 255:
            refuse(f"it returned {result}, and an exit status is 0 to 255")
        return result
    try:
        print(json.dumps(result, ensure_ascii=False))
    except (TypeError, ValueError):
        print(result)
    return 0


def tell(error: BaseException) -> None:
    """Print a traceback that begins with the user's code."""
    steps = error.__traceback__
    while steps is not None and steps.tb_frame.f_code.co_filename in (__file__, importlib.__file__):
        steps = steps.tb_next
    traceback.print_exception(type(error), error, steps)


def refuse(why: str) -> NoReturn:
    """Say why nothing can be carried out, and end."""
    print(f"Error: {why}", file=sys.stderr)
    sys.exit(NOT_CARRIED_OUT)


def _find(name: str) -> Callable[..., Any]:
    """Return the function at `package.module:name`; ends the process where there is none."""
    module, _, inner = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001  a module of a user's may do anything, sys.exit() too
        tell(error)
        refuse(f"the module {module} of {name} cannot be imported by {sys.executable}: {type(error).__name__}: {error}")
    for word in inner.split("."):
        found = getattr(found, word, None)
    if not callable(found):
        refuse(f"module {module} has no function {inner!r}")
    function: Callable[..., Any] = found
    return function


async def _awaited(result: Any) -> Any:
    return await result


if __name__ == "__main__":
    sys.exit(main())
