"""Background tasks that cannot die unseen."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

#: the loop itself keeps tasks only weakly: without this one that nobody awaits may vanish in the middle
_kept: Final[set[asyncio.Task[Any]]] = set()


def background(coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Run a coroutine that nobody awaits; if it fails, the loop's exception handler hears of it at once.

    A plain task that is kept somewhere tells its error to nobody until it is garbage: half a service would
    be dead, and the manager would see it run.
    """
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _kept.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[None]) -> None:
    _kept.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        message = f"the task {task.get_name()!r} failed"
        task.get_loop().call_exception_handler({"message": message, "exception": error, "task": task})
