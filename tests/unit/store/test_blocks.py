"""The form on disk: what a record, a frame and a tail say, and that torn ones are known as such."""

import pytest

from apsis_services.store.blocks import (
    NOTHING,
    RECORD,
    Block,
    Damaged,
    gap,
    gaps_in,
    joined,
    pack,
    unpack,
)


def test_a_block_comes_back_from_its_record_and_frame():
    before, _ = pack(NOTHING, b"one\ntwo")
    block, frame = pack(before, b"\nthree\n")
    assert Block.decode(block.encode()) == block
    assert unpack(block, frame) == b"\nthree\n"
    assert (block.start, block.line, block.next_line) == (7, 1, 3)


def test_a_record_with_any_byte_changed_or_missing_is_torn():
    record = pack(NOTHING, b"text\n")[0].encode()
    assert len(record) == RECORD
    for at in range(RECORD):
        assert Block.decode(record[:at]) is None
        assert Block.decode(record[:at] + bytes([record[at] ^ 1]) + record[at + 1 :]) is None


def test_a_damaged_frame_is_never_handed_out():
    raw = bytes(range(256)) * 20
    block, frame = pack(NOTHING, raw)
    for at in range(len(frame)):
        spoilt = frame[:at] + bytes([frame[at] ^ 0x10]) + frame[at + 1 :]
        try:
            assert unpack(block, spoilt) == raw
        except Damaged:
            continue
    with pytest.raises(Damaged):
        unpack(block, frame[:-1])


def test_a_gap_ends_the_line_that_it_cuts_and_has_no_lines_of_its_own():
    half, _ = pack(NOTHING, b"whole\nhal")
    lost = gap(half, 1000)
    assert (lost.start, lost.stop, lost.line, lost.next_line) == (9, 1009, 1, 2)
    again = gap(lost, 5)
    assert (again.line, again.next_line) == (2, 2)
    records = half.encode() + lost.encode() + again.encode()
    assert joined(gaps_in(records)) == [(9, 1014)]
