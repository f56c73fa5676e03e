"""People, and their programs: each request goes out until it is answered, at times twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulated import jobs

from apsis.messages.requests import ActOnRun, CreateRun, Deed, Done, Failed, Request
from apsis.runs.states import FINISHED, State

if TYPE_CHECKING:
    from simulated.world import World

AGAIN = 1.5
#: unfinished runs from which on nobody asks for more: the world is to come to rest
CROWD = 7


class People:
    """What was asked, and what was answered."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked: dict[str, Deed] = {}
        self.answers: dict[str, Done | Failed] = {}
        self._count = 0

    def come(self) -> None:
        """Somebody wants something."""
        deed = None if self.world.is_quiet else self._wish()
        if deed is not None:
            self._ask(deed)

    def _ask(self, deed: Deed) -> None:
        self._count += 1
        request_id = f"q{self._count}"
        self.asked[request_id] = deed
        self._send(request_id)
        if self.world.random.random() < 0.15:
            self.world.met("request twice at once")
            self._send(request_id)
        if isinstance(deed, ActOnRun) and deed.action == "stop":
            # whoever is impatient
            kill = ActOnRun(run_id=deed.run_id, action="kill")
            for _ in range(self.world.random.choice([0, 0, 1, 3])):
                self.world.clock.after(self.world.random.uniform(0.003, 1.0), self._ask, kill)

    def _wish(self) -> Deed | None:
        chance = self.world.random
        rows = list(self.world.scheduler.tables.runs.values())
        running = [row for row in rows if row.run.state not in FINISHED and row.run.state is not State.SCHEDULED]
        if chance.random() < 0.6:
            return self._new_run() if len(running) < CROWD else None
        if not rows:
            return None
        row = chance.choice(running or rows) if chance.random() < 0.7 else chance.choice(rows)
        if row.run.state in FINISHED:
            return ActOnRun(run_id=row.run.run_id, action="rerun")
        actions = ["skip", "start"] if row.run.state in (State.SCHEDULED, State.WAITING) else ["stop", "stop", "kill"]
        action = chance.choice(actions if chance.random() < 0.9 else ["signal", "skip", "mark"])
        return ActOnRun(
            run_id=row.run.run_id, action=action, signal=10 if action == "signal" else None,
            state="success" if action == "mark" else None,
        )  # fmt: skip

    def _new_run(self) -> Deed:
        if self.world.waits is not None:
            return self.world.waits.wish()
        chance = self.world.random
        job_id = chance.choice(["plain", "plain", "far", "far", "one", "after", "pause", "wrong"])
        args = {"n": str(chance.randint(0, 2))} if "params" in jobs.ASKED[job_id] else {}
        return CreateRun(job_id=job_id, args=args, count=1 if chance.random() < 0.8 else chance.randint(2, 4))

    def _send(self, request_id: str) -> None:
        if request_id in self.answers:
            return
        request = Request(request_id=request_id, actor=f"user:{request_id}", do=self.asked[request_id])
        self.world.network.send("people", "scheduler", request)
        self.world.clock.after(AGAIN, self._send_again, request_id)

    def _send_again(self, request_id: str) -> None:
        if request_id not in self.answers:
            self.world.met("request again")
            self._send(request_id)

    def hear(self, message: Any) -> None:
        """Take an answer; one that was had before must be the same; what was refused may be done later."""
        request_id, body = message
        before = self.answers.setdefault(request_id, body)
        if isinstance(before, Done) and isinstance(body, Done) and before != body and not self.world.restored:
            self.world.watcher.break_("one request, two answers", f"{request_id}: {before} and {body}")
