"""Commands as a scheduler makes them: `order`, `start`, `stop`."""

from collections.abc import Callable

import pytest

from apsis.messages.dispatch import Command, Commands, Process, Start

EPOCH, BOOT, JOURNAL = "e1", "b1", 7


@pytest.fixture
def start() -> Callable[..., Start]:
    def make(dispatch: int, run_id: str = "r1", **changes: object) -> Start:
        facts: dict[str, object] = {
            "job_id": "etl/load",
            "args": {"date": "2026-01-01"},
            "schedule_time": None,
            "args_hash": "aa",
            "process": Process(argv=["/bin/true"]),
        } | changes
        return Start(dispatch=dispatch, run_id=run_id, **facts)  # type: ignore[arg-type]

    return make


@pytest.fixture
def order() -> Callable[..., Commands]:
    def make(*items: Command, **changes: object) -> Commands:
        head: dict[str, object] = {"journal": JOURNAL, "term": 1, "epoch": EPOCH, "boot": BOOT, "floor": 0} | changes
        return Commands(items=list(items), **head)  # type: ignore[arg-type]

    return make
