"""Holding: which runs hold a resource now, and which wait for it."""

from apsis.explaining.answers import Answer, Because
from apsis.explaining.knows import Knows
from apsis.runs.run import Run

_HOLDING = ("starting", "running", "stopping")
#: runs that are looked at
MOST = 2_000


def holders_of(knows: Knows, resource: str) -> list[tuple[Run, int]]:
    """Return the runs that hold some of a resource, with how much, the longest first."""
    found = []
    for run in knows.unfinished(None, _HOLDING, MOST):
        job = knows.job(run.job_id)
        count = job.resources.get(resource, 0) if job is not None else 0
        if count:
            found.append((run, count))
    return found


def who_holds(knows: Knows, resource: str) -> Answer:
    """Answer what holds a resource, and who waits for it."""
    total = knows.resources.get(resource)
    subject = f"resource {resource}"
    if total is None:
        known = ", ".join(sorted(knows.resources)) or "none"
        return Answer(subject=subject, answer=f"there is no resource {resource} in the config; known: {known}")
    holders = holders_of(knows, resource)
    held = sum(count for _, count in holders)
    found = [
        Because(kind="holder", text=f"{run.run_id} of {run.job_id} holds {count}, {_since(run)}", run_id=run.run_id)
        for run, count in holders
    ]
    for run in knows.unfinished(None, ("waiting",), MOST):
        job = knows.job(run.job_id)
        wanted = job.resources.get(resource, 0) if job is not None else 0
        if wanted:
            text = f"{run.run_id} of {run.job_id} needs {wanted}, {_since(run)}"
            found.append(Because(kind="waits", text=text, run_id=run.run_id))
    return Answer(subject=subject, answer=f"{held} of {total} are held, {max(0, total - held)} are free", because=found)


def _since(run: Run) -> str:
    at = run.timestamps.get(run.state.value, "")
    return f"{run.state.value} since {at}" if at else run.state.value
