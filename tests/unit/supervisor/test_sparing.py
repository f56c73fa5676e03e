"""What is given up when the disk is almost full: the largest first, no more than is needed, and told as a gap."""

from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.outputs.sparing import Unsent, given_up
from apsis_services.supervisor.outputs.tail import PIECE, Piece, Tail

MIB = 1 << 20


def unsent(number: int, mib: int) -> Unsent:
    return Unsent(Key(1, f"r{number}"), "output", 0, mib * MIB)


def test_with_room_nothing_goes() -> None:
    assert list(given_up(3 * MIB, 100 * MIB, 2.0, [unsent(1, 50)])) == []


def test_the_largest_go_until_there_is_room() -> None:
    found = given_up(1 * MIB, 1000 * MIB, 2.0, [unsent(1, 5), unsent(2, 12), unsent(3, 9), unsent(4, 40)])
    assert [one.key.run_id for one in found] == ["r4"]
    found = given_up(0, 1000 * MIB, 5.0, [unsent(1, 5), unsent(2, 12), unsent(3, 9), unsent(4, 40)])
    assert [one.key.run_id for one in found] == ["r4", "r2"]


def test_of_what_was_not_sent_the_middle_may_go_and_both_ends_stay() -> None:
    tail = Tail()
    tail.grow(10 * PIECE + 7)
    tail.send(Piece(0, PIECE))
    middle = tail.unsent()
    assert middle == (2 * PIECE, 9 * PIECE)
    tail.lose(*middle)
    assert tail.unsent() is None
    pieces = []
    tail.finish(10 * PIECE + 7)
    while piece := tail.next_piece():
        tail.send(piece)
        pieces.append(piece)
    assert pieces == [
        Piece(PIECE, PIECE),
        Piece(2 * PIECE, 7 * PIECE, gap=True),
        Piece(9 * PIECE, PIECE),
        Piece(10 * PIECE, 7),
    ]


def test_growth_after_a_loss_can_be_given_up_too_and_makes_one_gap() -> None:
    tail = Tail()
    tail.grow(10 * PIECE)
    first = tail.unsent()
    assert first is not None
    tail.lose(*first)
    tail.grow(20 * PIECE)
    second = tail.unsent()
    assert second == (first[1] + PIECE, 19 * PIECE)
    tail.lose(*second)
    assert tail.lost == [first, second]


def test_what_is_durable_alone_may_be_punched() -> None:
    tail = Tail()
    tail.grow(4 * PIECE)
    tail.send(Piece(0, 4 * PIECE))
    tail.ack(4 * PIECE, durable=PIECE)
    assert (tail.acked, tail.durable) == (4 * PIECE, PIECE)
    tail.ack(4 * PIECE, durable=4 * PIECE)
    assert tail.durable == 4 * PIECE
