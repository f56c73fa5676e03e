"""Runs: the answer to why one run waits, runs still, or ended as it did; and what it needs and blocks."""

from datetime import datetime
from typing import Any

from apsis.explaining.answers import Answer, Because
from apsis.explaining.endings import how_it_ended, sentence
from apsis.explaining.knows import Knows
from apsis.explaining.lateness import why_late
from apsis.explaining.waiting import Chain
from apsis.runs.run import Run
from apsis.runs.states import FINISHED, State

#: runs that wait, looked at for what one of them blocks
_LOOKED_AT = 5_000
#: blocked runs that are named
_NAMED = 100
_RUNNING = frozenset({State.STARTING, State.RUNNING, State.STOPPING})


def why_run(knows: Knows, run: Run, now: datetime) -> Answer:
    """Answer why a run stands as it does."""
    if run.state in FINISHED:
        log = knows.log(run.run_id)
        because = [*how_it_ended(run, log), *why_late(run, log)]
        return Answer(subject=run.run_id, answer=sentence(run), because=because)
    if run.state in _RUNNING:
        return _running(knows, run)
    because = Chain(knows, now).reasons(run)
    if run.state is State.WAITING:
        return Answer(subject=run.run_id, answer=run.reason or "it waits", because=because)
    due = run.not_before or run.schedule_time
    return Answer(subject=run.run_id, answer=f"its time has not come: it is due at {due}", because=because)


def _running(knows: Knows, run: Run) -> Answer:
    since = run.timestamps.get(run.state.value, "")
    because = []
    if not run.reachable:
        text = f"host {run.host} cannot be reached; what became of it is told when it can"
        hint = f"look at the host, or give the run up: apsis abandon {run.run_id}"
        because.append(Because(kind="host", text=text, hint=hint))
    if run.state is State.STARTING:
        because.append(
            Because(kind="host", text=f"its start was sent to host {run.host or 'local'}, and is not answered yet")
        )
    if run.reason:
        because.append(Because(kind="reason", text=run.reason))
    if run.state is State.STOPPING and run.pid is not None:
        because.append(Because(kind="stopping", text=f"process {run.pid} has been asked to end, and has not ended yet"))
    because += why_late(run, knows.log(run.run_id))
    return Answer(subject=run.run_id, answer=f"it is {run.state.value} since {since}", because=because)


def dependencies(knows: Knows, run: Run, now: datetime) -> dict[str, Any]:
    """Return what a run needs, as the reasons of `why`, and the waiting runs that it blocks."""
    needs = [] if run.state in FINISHED else Chain(knows, now).reasons(run)
    blocks = []
    for other in knows.unfinished(None, ("waiting",), _LOOKED_AT):
        for condition in other.conditions:
            if condition.get("type") == "dependency" and _is_of(condition, run):
                blocks.append(
                    {"run_id": other.run_id, "job_id": other.job_id, "args": other.args, "reason": other.reason}
                )
                break
    return {"run_id": run.run_id, "needs": needs, "blocks": blocks[:_NAMED], "more": max(0, len(blocks) - _NAMED)}


def _is_of(condition: dict[str, Any], run: Run) -> bool:
    return condition.get("job_id") == run.job_id and (condition.get("args") or {}) == run.args
