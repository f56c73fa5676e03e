"""Seeds that once found something, one that is asked for, and that a seed is the same each time."""

import pytest
from simulated import seeds
from simulated.play import play


def test_the_seed_that_is_asked_for(only_seed: int | None) -> None:
    """`pytest tests/simulator -k seed_that --seed N` plays seed N; without it the first."""
    game = play(only_seed or 0, tracing=True)
    assert not game.broken, game.story


@pytest.mark.parametrize("seed", seeds.FOUND, ids=str)
def test_a_seed_that_once_found_something_finds_it_no_more(seed: int) -> None:
    game = play(seed, tracing=True)
    assert not game.broken, game.story


def test_a_seed_is_the_same_each_time() -> None:
    stories = [play(7, tracing=True).world.trace for _ in range(2)]

    assert stories[0] == stories[1]
    assert len(stories[0]) > 100
