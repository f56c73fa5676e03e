"""The state table: what may follow what, and the page that is printed from it."""

from pathlib import Path

import pytest

from apsis.runs.diagram import MEANING, page
from apsis.runs.states import ACTIVE, FINISHED, TABLE, IllegalTransition, State, follow

ROOT = Path(__file__).parents[3]


def reachable(state: State) -> set[State]:
    found = {state}
    while new := {each for each in State if TABLE[each] & found} - found:
        found |= new
    return found


def test_every_state_can_be_reached() -> None:
    assert reachable(State.NEW) == set(State)


@pytest.mark.parametrize("state", State)
def test_every_run_can_end(state: State) -> None:
    assert reachable(state) & FINISHED


@pytest.mark.parametrize("new", State)
@pytest.mark.parametrize("state", sorted(FINISHED))
def test_a_finished_run_stays_finished(state: State, new: State) -> None:
    with pytest.raises(IllegalTransition):
        follow(state, new)


def test_what_is_active_is_due_and_not_finished() -> None:
    assert not ACTIVE & FINISHED
    assert set(State) - ACTIVE - FINISHED == {State.NEW, State.SCHEDULED}


def test_the_page_of_the_states_is_printed_from_the_table() -> None:
    assert (ROOT / "docs" / "states.md").read_text() == page(), "run: python -m apsis.runs.diagram > docs/states.md"
    assert set(MEANING) == set(State)
