"""Lists on their way over the bus: in order, whole, and in messages that it carries."""

from hypothesis import given, settings
from hypothesis import strategies as st

from apsis.messages.batches import BYTES, ITEMS, batches
from apsis.messages.body import encode


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 700_000) | st.integers(0, 2_000), max_size=100))
def test_batches_are_the_list_in_pieces_that_fit(sizes: list[int]) -> None:
    texts = ["x" * size for size in sizes]
    found = list(batches(texts, lambda text: text))
    assert [text for batch in found for text in batch] == texts
    for batch in found:
        assert 1 <= len(batch) <= ITEMS
        assert len(batch) == 1 or sum(len(encode(text)) for text in batch) <= BYTES


def test_small_ones_go_together_as_many_as_may() -> None:
    assert [len(batch) for batch in batches(range(130), lambda number: number)] == [64, 64, 2]
