"""The pure core of the reliable consumer, against a carrier that loses, repeats and holds back."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apsis.messages.events import Page, SysEvent
from apsis_bus.consumer import HELD_MAX, Ask, Consumer, Reset, Step, Take

J = 77


def event(number: int) -> SysEvent:
    return SysEvent(id=number, at="2026-06-30T14:32:07.120000Z", kind="x")


def page(since: int, last: int, head: int, journal: int = J) -> Page:
    return Page(journal=journal, last=last, head=head, events=[event(n) for n in range(since + 1, last + 1)])


def taken(steps: list[Step]) -> list[int]:
    return [event.id for step in steps if isinstance(step, Take) for event in step.events]


def test_the_next_event_is_handed_over() -> None:
    consumer = Consumer(4, J)
    assert taken(consumer.on_event(event(5), J)) == [5]
    assert consumer.cursor == 5


def test_an_event_seen_before_is_dropped() -> None:
    consumer = Consumer(4, J)
    assert consumer.on_event(event(4), J) == []
    assert consumer.on_event(event(1), J) == []


def test_a_gap_is_asked_for_once_and_what_came_after_it_is_not_lost() -> None:
    consumer = Consumer(4, J)
    assert consumer.on_event(event(7), J) == [Ask(4)]
    assert consumer.on_event(event(8), J) == []
    steps = consumer.on_page(page(4, 6, 8))
    assert taken(steps) == [5, 6, 7, 8]
    assert consumer.cursor == 8
    assert not consumer.asking


def test_pages_are_asked_for_until_the_head() -> None:
    consumer = Consumer(0, J)
    assert consumer.ask() == [Ask(0)]
    steps = consumer.on_page(page(0, 500, 700))
    assert taken(steps) == list(range(1, 501))
    assert steps[-1] == Ask(500)
    assert consumer.on_page(page(500, 700, 700)) == [Take([event(n) for n in range(501, 701)])]


def test_a_page_that_brings_nothing_does_not_make_a_loop() -> None:
    consumer = Consumer(5, J)
    consumer.ask()
    assert consumer.on_page(page(5, 5, 9)) == []
    assert consumer.on_head(J, 9) == [Ask(5)]


def test_a_head_beyond_the_cursor_is_a_gap() -> None:
    consumer = Consumer(5, J)
    assert consumer.on_head(J, 5) == []
    assert consumer.on_head(J, 6) == [Ask(5)]
    assert consumer.on_head(J, 7) == []


def test_a_failed_question_is_asked_again() -> None:
    consumer = Consumer(5, J)
    consumer.on_head(J, 6)
    consumer.on_failure()
    assert consumer.ask() == [Ask(5)]


@pytest.mark.parametrize(
    "hear",
    [
        lambda c: c.on_event(event(6), J + 1),
        lambda c: c.on_head(J + 1, 6),
        lambda c: [*c.ask(), *c.on_page(page(5, 6, 6, J + 1))][1:],
    ],
)
def test_another_journal_is_a_reset(hear) -> None:
    consumer = Consumer(5, J)
    assert hear(consumer) == [Reset("journal")]


def test_a_page_with_a_hole_in_it_is_a_reset_and_nothing_is_passed_over() -> None:
    consumer = Consumer(5, J)
    consumer.ask()
    holed = Page(journal=J, last=9, head=9, events=[event(6), event(8), event(9)])
    assert consumer.on_page(holed) == [Take([event(6)]), Reset("floor")]
    consumer = Consumer(5, J)
    consumer.ask()
    assert consumer.on_page(Page(journal=J, last=7, head=7, events=[event(6)])) == [Take([event(6)]), Reset("floor")]


def test_below_the_floor_is_a_reset() -> None:
    assert Consumer(5, J).on_floor() == [Reset("floor")]


def test_a_head_before_the_cursor_is_a_reset() -> None:
    """The machine lost power, and with it the last commits: their ids come again with other content."""
    assert Consumer(5, J).on_head(J, 3) == [Reset("behind")]
    consumer = Consumer(5, J)
    consumer.ask()
    assert consumer.on_page(page(3, 3, 3)) == [Reset("behind")]


def test_the_hubs_memory_of_a_head_is_no_reason_for_a_reset() -> None:
    assert Consumer(5, J).on_welcome(J, 3) == [Ask(5)]
    assert Consumer(5, J).on_welcome(J + 1, 3) == [Ask(5)]


def test_after_a_reset_nothing_is_handed_over_before_the_restart() -> None:
    consumer = Consumer(5, J)
    consumer.on_floor()
    assert consumer.on_event(event(6), J) == consumer.on_head(J, 9) == consumer.on_floor() == consumer.ask() == []
    assert consumer.on_page(page(5, 9, 9)) == []
    assert consumer.restart(8, J) == [Ask(8)]
    assert taken(consumer.on_event(event(9), J)) == [9]


def test_from_now_on_means_the_first_head_that_is_heard() -> None:
    for start in (lambda c: c.on_head(J, 41), lambda c: c.on_welcome(J, 41), lambda c: c.on_event(event(41), J)):
        consumer = Consumer(None, 0)
        assert consumer.ask() == []
        start(consumer)
        assert (consumer.cursor, consumer.journal) == (41, J)


def test_what_is_held_is_bounded_and_asked_for_again() -> None:
    consumer = Consumer(0, J)
    for number in range(2, HELD_MAX + 100):
        consumer.on_event(event(number), J)
    head = HELD_MAX + 99
    steps = consumer.on_page(page(0, 1, head))
    assert taken(steps) == list(range(1, HELD_MAX + 2))
    assert steps[-1] == Ask(HELD_MAX + 1)


@st.composite
def carriers(draw: st.DrawFn) -> list[tuple[str, int]]:
    """What a carrier does: commits of some events; each published one lost, repeated or held back; answers lost."""
    return draw(
        st.lists(
            st.tuples(
                st.sampled_from(["deliver", "lose", "twice", "hold", "unhold", "answer", "fail", "head", "welcome"]),
                st.integers(1, 5),
            ),
            max_size=120,
        )
    )


@settings(max_examples=400, deadline=None)
@given(carriers(), st.integers(1, 7))
def test_every_event_is_handed_over_once_and_in_order_whatever_the_carrier_does(
    actions: list[tuple[str, int]], page_size: int
) -> None:
    consumer = Consumer(0, 0)
    got: list[int] = []
    head = 0
    held: list[int] = []
    asked: list[int] = []

    def do(steps: list[Step]) -> None:
        for step in steps:
            if isinstance(step, Take):
                got.extend(event.id for event in step.events)
            elif isinstance(step, Ask):
                asked.append(step.since)
            else:
                raise AssertionError(step)

    def answer() -> None:
        if asked:
            since = asked.pop(0)
            do(consumer.on_page(page(since, min(since + page_size, head), head)))

    def published(count: int) -> Iterator[int]:
        nonlocal head
        for _ in range(count):
            head += 1
            yield head

    for action, count in actions:
        match action:
            case "deliver" | "twice":
                for number in published(count):
                    for _ in range(2 if action == "twice" else 1):
                        do(consumer.on_event(event(number), J))
            case "lose":
                head += count
            case "hold":
                held.extend(published(count))
            case "unhold":
                while held:
                    do(consumer.on_event(event(held.pop()), J))
            case "answer":
                answer()
            case "fail" if asked:
                asked.pop(0)
                consumer.on_failure()
            case "head":
                do(consumer.on_head(J, head))
            case "welcome":
                do(consumer.on_welcome(J, max(0, head - count)))
        assert got == list(range(1, len(got) + 1))
        assert len(asked) <= 1
    # the carrier works again
    do(consumer.on_head(J, head))
    for _ in range(head + 2):
        answer()
        do(consumer.on_head(J, head))
    assert got == list(range(1, head + 1))
