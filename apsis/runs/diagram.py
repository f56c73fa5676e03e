"""`docs/states.md`, printed from the state table: `python -m apsis.runs.diagram > docs/states.md`."""

from apsis.runs.states import FINISHED, TABLE, State

#: what each state means, for a reader
MEANING = {
    State.NEW: "made in this very turn; never seen from outside",
    State.SCHEDULED: "its time has not come",
    State.WAITING: "due, and waiting for a condition, a place or a host; its reason says for which",
    State.STARTING: "committed to be started, at most once; the program may run already",
    State.RUNNING: "its program runs",
    State.STOPPING: "asked to stop; the program may still run",
    State.SUCCESS: "ended as it should",
    State.FAILURE: "ended otherwise; its reason says how",
    State.ERROR: "could not be run, or what became of it is not known",
    State.SKIPPED: "not run, by decision, or revoked before it started",
}

_HEAD = """# The states of a run

Printed from the table in `apsis/runs/states.py` by `python -m apsis.runs.diagram`; a test compares the two.

A run is in exactly one state. Each step is committed with its actor, its reason and its time before anything is
done about it. A step that is not in the table is refused: a report that asks for one is stored as `refused`, and
acknowledged.
"""

_TAIL = """
Beside the steps there is `mark`: a person may turn one finished state into another, which is recorded as such and
carries out no actions. Whether a run's host can be reached (`reachable`) is a mark beside its state, never a state.
A person may `abandon` a run that is marked so: it ends in error, and its true end, should it be heard of, is stored as
`refused` beside that. A run that a host tells of after a restore enters its states at once, with the times of then.
"""


def page() -> str:
    """Return the page."""
    states = ["| state | means | may follow |", "|---|---|---|"]
    for state in State:
        before = ", ".join(old.value for old in State if old in TABLE[state]) or "nothing"
        name = f"**{state.value}**" if state in FINISHED else state.value
        states.append(f"| {name} | {MEANING[state]} | {before} |")
    arrows = [
        f"    {old.value} --> {new.value}" for new in State for old in State if old in TABLE[new]
    ]  # fmt: skip
    ends = [f"    {state.value} --> [*]" for state in State if state in FINISHED]
    diagram = ["```mermaid", "stateDiagram-v2", "    [*] --> new", *arrows, *ends, "```"]
    return "\n".join([_HEAD, *states, "", "States in bold are finished.", "", *diagram, _TAIL.rstrip(), ""])


if __name__ == "__main__":
    print(page(), end="")
