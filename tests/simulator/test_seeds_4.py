"""Seeds of the simulator, part 4 of 4, so that workers share them; `simulated/seeds.py` says which."""

import pytest
from simulated import seeds


@pytest.mark.timeout(300)
@pytest.mark.parametrize("chunk", seeds.chunks(3, 4))
def test_all_promises_are_kept_under_each_seed(chunk: int) -> None:
    seeds.play_chunk(chunk)


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("chunk", seeds.nightly_chunks(3, 4))
def test_all_promises_are_kept_under_each_seed_of_the_night(chunk: int) -> None:
    seeds.play_chunk(chunk)
