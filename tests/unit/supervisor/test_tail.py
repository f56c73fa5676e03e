"""Positions of one stream: what goes next, what an ack means, what a cap leaves out."""

from apsis_services.supervisor.outputs.tail import PIECE, Piece, Tail


def test_what_was_appended_goes_in_pieces():
    tail = Tail()
    tail.grow(PIECE + 5)
    sent = []
    while piece := tail.next_piece():
        tail.send(piece)
        sent.append(piece)
    assert sent == [Piece(0, PIECE), Piece(PIECE, 5)]
    assert tail.flying == PIECE + 5


def test_a_rewind_sends_again_from_what_is_kept():
    tail = Tail()
    tail.grow(10)
    tail.send(Piece(0, 4))
    tail.send(Piece(4, 6))
    tail.ack(4)
    assert list(tail.flights) == [10]
    tail.rewind()
    assert tail.next_piece() == Piece(4, 6)


def test_an_ack_ahead_of_what_was_sent_is_believed():
    tail = Tail()
    tail.grow(100)
    tail.ack(60)
    assert tail.next_piece() == Piece(60, 40)


def test_a_late_ack_takes_nothing_back_but_a_store_that_asks_is_heeded_once():
    tail = Tail()
    tail.grow(100)
    tail.send(Piece(0, 100))
    tail.ack(80)
    assert not tail.ack(40)
    assert tail.acked == 80
    assert tail.ack(40, again=True)
    tail.send(Piece(40, 60))
    assert not tail.ack(40, again=True)
    assert tail.sent == 100


def test_what_was_emptied_here_can_only_be_told_as_a_gap():
    tail = Tail(size=100, sent=50, acked=50, punched=50)
    tail.ack(10, again=True)
    assert tail.next_piece() == Piece(10, 40, gap=True)


def test_an_empty_stream_is_settled_without_a_word():
    tail = Tail()
    tail.finish(0)
    assert tail.settled
    assert tail.next_piece() is None


def test_a_stream_is_complete_only_when_the_store_says_so():
    tail = Tail()
    tail.finish(3)
    tail.send(Piece(0, 3))
    tail.ack(3)
    assert not tail.settled
    tail.ack(3, complete=True)
    assert tail.settled


def test_beyond_the_cap_the_tail_waits_for_the_end_and_the_middle_is_a_gap():
    tail = Tail(cap=100)
    tail.grow(500)
    assert tail.next_piece() == Piece(0, 75)
    tail.send(Piece(0, 75))
    assert tail.next_piece() is None
    tail.ack(75)
    assert tail.dispensable() == (75, 475)
    tail.finish(600)
    assert tail.next_piece() == Piece(75, 500, gap=True)
    tail.send(Piece(75, 500, gap=True))
    assert tail.next_piece() == Piece(575, 25)


def test_below_the_cap_nothing_is_left_out():
    tail = Tail(cap=100)
    tail.grow(90)
    tail.send(Piece(0, 75))
    tail.finish(90)
    assert tail.next_piece() == Piece(75, 15)


def test_a_file_that_shrank_keeps_its_length():
    tail = Tail()
    tail.grow(10)
    tail.send(Piece(0, 10))
    tail.grow(2)
    tail.finish(2)
    assert tail.final == 10


def test_pieces_end_at_whole_multiples_so_that_the_store_gets_whole_blocks():
    tail = Tail()
    tail.grow(5)
    tail.send(Piece(0, 5))
    tail.grow(3 * PIECE)
    assert tail.next_piece() == Piece(5, PIECE - 5)
    tail.send(Piece(5, PIECE - 5))
    assert tail.next_piece() == Piece(PIECE, PIECE)


def test_the_tail_of_a_large_cap_begins_at_a_whole_multiple():
    tail = Tail(cap=64 * PIECE)
    tail.grow(48 * PIECE)
    tail.send(Piece(0, 48 * PIECE))
    tail.finish(100 * PIECE + 7)
    assert tail.next_piece() == Piece(48 * PIECE, 37 * PIECE, gap=True)
