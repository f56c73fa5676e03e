"""`deliver`: makes one attempt by a real worker; `order_for` makes the order of an action."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apsis.config import Smtp
from apsis_services.alerts.letters import Letter, target_of
from apsis_services.alerts.orders import Order, Outcome
from apsis_services.alerts.workers import Workers

FACTS: dict[str, Any] = {
    "event_id": "7-1-0", "event": "run.failure", "state": "failure", "reason": "exit 3", "exit_code": 3,
    "signal": None, "elapsed": 1.5, "late_by": 0.2, "started": "2026-01-01T00:00:00.000000Z",
    "ended": "2026-01-01T00:00:01.500000Z", "host": "local", "attempt": 0, "labels": ["etl"],
    "url": "http://page/runs/r1",
}  # fmt: skip


@pytest.fixture
def order_for(tmp_path: Path) -> Callable[..., Order]:
    """Return a function from an action to the order to carry it out."""
    secrets = tmp_path / "keys" / "secrets"
    secrets.mkdir(parents=True)
    for name, value in {"sign": "key", "token": "tok-123", "password": "word"}.items():
        (secrets / name).write_text(value + "\n")
        (secrets / name).chmod(0o600)

    def make(action: dict[str, Any], *, args: dict[str, str] | None = None, **more: Any) -> Order:
        target, shown = target_of(action)
        letter = Letter(
            event_id="7-1-0", origin="7-r1-0", target=target, shown=shown, run_id="r1", job_id="etl/load",
            action=action, facts=FACTS, args={"date": "2026-01-01"} if args is None else args,
        )  # fmt: skip
        given: dict[str, Any] = {"smtp": Smtp(), "timeout": 5.0, "allow": ["127.0.0.1"], "secrets": {}}
        return Order(letter=letter, home=str(tmp_path), job_dir=str(tmp_path / "jobs"), **{**given, **more})

    return make


@pytest.fixture
def deliver() -> Callable[..., list[Outcome]]:
    """Return a function that carries out orders, all at once, and returns what came of them."""

    def carry_out(*orders: Order) -> list[Outcome]:
        async def all_of_them() -> list[Outcome]:
            workers = Workers()
            try:
                return await asyncio.gather(*(workers.deliver(order) for order in orders))
            finally:
                await workers.close()

        return asyncio.run(all_of_them())

    return carry_out
