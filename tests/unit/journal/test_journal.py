"""What a journal says: however it is cut, it never says what was not written."""

import fcntl
import json
import os
import zlib

import pytest

from apsis_services.supervisor.zygote.identity import Identity
from apsis_services.supervisor.zygote.journal import (
    archive_path,
    journal_path,
    parse_key,
    read_journal,
    run_directory,
    run_key,
    state_of,
)
from apsis_services.supervisor.zygote.journal_file import RESERVE, revoke, take_claim, take_over
from apsis_services.supervisor.zygote.records import encode_record, parse_records

CLAIM = {"e": "claim", "v": 1, "journal": 7, "run_id": "r1", "pid": 10, "ticks": 100, "boot": "b", "args": {"a": "ü\n"}}
STARTED = {"e": "started", "pid": 11, "ticks": 101, "boot": "b", "at": "t", "mono": 1.5}
ADOPTED = {"e": "adopted", "pid": 5, "ticks": 50, "at": "t"}
RESULT = {"e": "result", "code": 0, "signal": None, "error": "", "rusage": {"utime": 0.1}}
DONE = {"e": "done", "at": "t", "leftovers": 0, "left": 0, "outputs": {"output": 3}, "rusage": {}}
WHOLE = [CLAIM, STARTED, ADOPTED, RESULT, DONE]


@pytest.fixture
def spool(tmp_path):
    for folder in ("journals", "archive", "runs"):
        (tmp_path / folder).mkdir()
    return str(tmp_path)


def test_records_are_read_as_they_were_written():
    data = b"".join(map(encode_record, WHOLE))
    assert parse_records(data) == (WHOLE, len(data))
    assert all(len(line.splitlines()) == 1 for line in map(encode_record, WHOLE))


@pytest.mark.parametrize("tail", [b"", bytes(100)])
def test_a_journal_cut_at_any_byte_reads_as_the_lines_before_the_cut(tail):
    lines = [encode_record(record) for record in WHOLE]
    data = b"".join(lines)
    ends = [sum(map(len, lines[: i + 1])) for i in range(len(lines))]
    for cut in range(len(data) + 1):
        whole = sum(end <= cut for end in ends)
        records, length = parse_records(data[:cut] + tail)
        assert records == WHOLE[:whole]
        assert length == [0, *ends][whole]


def test_a_journal_with_any_byte_changed_never_reads_as_something_else():
    lines = [encode_record(record) for record in WHOLE]
    data = b"".join(lines)
    for at in range(len(data)):
        for change in (1, 0x20, 0xFF):
            damaged = bytearray(data)
            damaged[at] ^= change
            records, _ = parse_records(bytes(damaged))
            assert records == WHOLE[: len(records)]
            assert len(records) < len(WHOLE)


@pytest.mark.parametrize(
    ("count", "phase"), [(0, "none"), (1, "claim"), (2, "started"), (3, "started"), (4, "result"), (5, "done")]
)
def test_the_phase_is_the_last_step_that_was_written(count, phase):
    state = state_of(WHOLE[:count], locked=True)
    assert state.phase == phase
    assert state.settled == (phase == "done")


def test_the_holder_is_the_shim_until_a_zygote_adopts_the_run():
    assert state_of(WHOLE[:2], locked=True).holder == Identity(10, 100)
    assert state_of(WHOLE[:3], locked=True).holder == Identity(5, 50)
    assert (state_of(WHOLE, locked=False).pid, state_of(WHOLE, locked=False).ticks) == (11, 101)


def test_a_claim_is_visible_only_locked_and_whole(spool):
    path = journal_path(spool, 7, "r1")
    journal = take_claim(spool, 7, "r1", [CLAIM])
    assert journal is not None
    state = read_journal(path)
    assert (state.phase, state.locked, state.claim) == ("claim", True, CLAIM)
    assert os.path.getsize(path) == len(encode_record(CLAIM)) + RESERVE
    assert os.stat(path).st_blocks * 512 >= RESERVE, "room is taken before it is needed"
    journal.append(STARTED)
    journal.append(RESULT, DONE)
    assert os.path.getsize(path) == len(encode_record(CLAIM)) + RESERVE
    journal.close()
    assert read_journal(path) == state_of([CLAIM, STARTED, RESULT, DONE], locked=False)
    assert os.listdir(f"{spool}/journals") == [f"{run_key(7, 'r1')}.j"]


def test_a_run_is_claimed_once(spool):
    first = take_claim(spool, 7, "r1", [CLAIM])
    assert take_claim(spool, 7, "r1", [CLAIM | {"pid": 12}]) is None
    assert take_claim(spool, 8, "r1", [CLAIM]) is not None, "another database's run"
    first.close()
    assert take_claim(spool, 7, "r1", [CLAIM | {"pid": 12}]) is None
    assert read_journal(journal_path(spool, 7, "r1")).claim["pid"] == 10


def test_an_archived_run_is_claimed_for_ever(spool):
    take_claim(spool, 7, "r1", [CLAIM]).close()
    os.rename(journal_path(spool, 7, "r1"), archive_path(spool, 7, "r1"))
    assert take_claim(spool, 7, "r1", [CLAIM]) is None


def test_a_revoke_takes_the_claim_or_leaves_it(spool):
    at = "2026-01-01T00:00:00.000000Z"
    assert revoke(spool, 7, "r1", dispatch=4, by="ann", at=at)
    assert not revoke(spool, 7, "r1", dispatch=5, by="bob", at=at)
    state = read_journal(journal_path(spool, 7, "r1"))
    assert (state.phase, state.revoked["dispatch"], state.revoked["by"], state.settled) == ("revoked", 4, "ann", True)
    assert take_claim(spool, 7, "r1", [CLAIM]) is None


def test_no_journal_is_none(spool):
    state = read_journal(journal_path(spool, 7, "r1"))
    assert (state.phase, state.locked, state.holder, state.pid) == ("none", False, None, None)


def test_a_journal_is_taken_over_only_when_nobody_holds_it(spool):
    path = journal_path(spool, 7, "r1")
    journal = take_claim(spool, 7, "r1", [CLAIM])
    assert take_over(path) is None
    journal.close()
    other, records = take_over(path)
    assert records == [CLAIM]
    assert read_journal(path).locked
    other.close()


def test_half_a_line_of_the_last_holder_is_gone_when_the_next_writes(spool):
    """A short line over a long torn one must not leave an end that could be read."""
    path = journal_path(spool, 7, "r1")
    journal = take_claim(spool, 7, "r1", [CLAIM])
    torn = encode_record(DONE)[:-1]
    os.pwrite(journal.fd, torn, journal.length)
    journal.close()
    other, records = take_over(path)
    assert records == [CLAIM]
    assert os.pread(other.fd, 100_000, other.length).strip(b"\0") == b""
    other.append(ADOPTED)
    other.close()
    assert read_journal(path) == state_of([CLAIM, ADOPTED], locked=False)


def test_those_who_ask_do_not_see_each_other(spool):
    """Two readers at once each ask with a shared lock; neither takes the other for a holder."""
    path = journal_path(spool, 7, "r1")
    take_claim(spool, 7, "r1", [CLAIM]).close()
    fd = os.open(path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    assert not read_journal(path).locked
    os.close(fd)


def test_names_lead_back_to_the_run():
    key = run_key(0xABC, "r12")
    assert key == "0000000000000abc-r12"
    assert parse_key(key) == parse_key(f"{key}.j") == (0xABC, "r12")
    assert run_directory("/s", 0xABC, "r12") == f"/s/runs/{key}"


@pytest.mark.parametrize("run_id", ["", "../x", "a/b", ".x", "-x", "a\0", "x" * 101, "a\n"])
def test_a_run_id_that_could_lead_elsewhere_never_meets_a_path(run_id):
    with pytest.raises(ValueError, match="no run id"):
        run_key(7, run_id)


@pytest.mark.parametrize(
    "name", ["x", "r1.j", "zz00000000000007-r1.j", "0000000000000007-r1.j.99.tmp", "0000000000000007-"]
)
def test_other_files_are_no_journals(name):
    assert parse_key(name) is None


def test_the_format_is_what_it_is_said_to_be():
    """A line: eight hex digits of CRC-32, a blank, JSON. Other programs may read it."""
    line = encode_record({"e": "done", "n": 1})
    check, text = line.rstrip(b"\n").split(b" ", 1)
    assert int(check, 16) == zlib.crc32(text)
    assert json.loads(text) == {"e": "done", "n": 1}
