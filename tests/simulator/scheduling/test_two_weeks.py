"""Two weeks around each change of the clock in twenty zones: each due time becomes one run, or is on record."""

import pytest
from scheduled_play import Account
from two_weeks import ZONES, changes, play


@pytest.mark.parametrize("zone", ZONES)
def test_two_weeks_around_each_change_of_the_clock_lose_repeat_and_hasten_nothing(zone: str) -> None:
    moments = changes(zone)
    assert len(moments) == 2
    for change in moments:
        game = play(zone, change)
        assert Account(game).wrong() == []
        assert len(game.tables.runs) > 300
