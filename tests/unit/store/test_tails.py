"""The form of a tail: what it adds, and that nothing torn, changed or exchanged in it counts."""

from apsis_services.store.tails import TAIL_HEADER, tail_from, tail_header, tail_piece


def tail(start: int, *pieces: bytes) -> bytes:
    content, crc = tail_header(start), 0
    for data in pieces:
        piece, crc = tail_piece(data, crc)
        content += piece
    return content


def added(content: bytes, settled: int) -> bytes | None:
    found = tail_from(content, settled)
    return found.data if found else None


def test_a_tail_adds_only_what_no_block_holds() -> None:
    content = tail(100, b"01234", b"56789")
    assert added(content, 100) == b"0123456789"
    assert added(content, 104) == b"456789"
    assert added(content, 110) is None
    assert added(content, 200) is None
    assert added(content, 99) is None, "blocks before it are lost: it hangs in the air"


def test_a_tail_cut_anywhere_has_its_whole_pieces() -> None:
    content = tail(100, b"01234", b"56789")
    for length in range(len(content)):
        assert added(content[:length], 100) in ((None,) if length < TAIL_HEADER + 13 else (b"01234",))


def test_a_changed_byte_ends_a_tail_before_its_piece_and_is_never_handed_out() -> None:
    content = tail(100, b"01234", b"56789", b"abc")
    for at in range(len(content)):
        for bit in (0x01, 0x80):
            spoilt = content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]
            assert added(spoilt, 100) in (None, b"01234", b"0123456789")


def test_pieces_left_out_or_exchanged_do_not_count() -> None:
    pieces, crc = [], 0
    for data in (b"one", b"two", b"six"):
        piece, crc = tail_piece(data, crc)
        pieces.append(piece)
    head = tail_header(0)
    assert added(head + pieces[0] + pieces[2], 0) == b"one"
    assert added(head + pieces[1] + pieces[0], 0) is None


def test_the_size_that_counts_is_where_the_next_piece_goes() -> None:
    content = tail(0, b"one")
    found = tail_from(content + b"torn", 0)
    assert found is not None
    assert found.size == len(content)
    piece, _ = tail_piece(b"two", found.crc)
    assert added(content + piece, 0) == b"onetwo"
