"""What the supervisor remembers by itself outlives it: reports, told runs, floors, the epoch."""

import errno
import os

import pytest

from apsis.messages.dispatch import Lost, Started
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.protocol import KeepAcked, KeepReport
from apsis_services.supervisor.spool import reports
from apsis_services.supervisor.spool.reports import Floors, ReportsLog, take_epoch
from apsis_services.supervisor.tidings import Told


def made(seq: int) -> KeepReport:
    return KeepReport(Key(7, f"r{seq}"), Started(seq=seq, run_id=f"r{seq}", at="t", pid=seq))


def write(path, *effects) -> ReportsLog:
    log = ReportsLog(path)
    for effect in effects:
        log.keep(effect, Told.STARTED)
    log.flush()
    return log


def test_unacked_reports_and_what_was_told_come_back(tmp_path):
    path = tmp_path / "reports.log"
    write(path, made(1), made(2), made(3), KeepAcked(2, 3))
    ledger = ReportsLog(path).ledger
    assert (ledger.acked, ledger.last) == (2, 3)
    assert ledger.pending == {3: (Key(7, "r3"), made(3).report)}
    assert ledger.told == {Key(7, f"r{n}"): Told.STARTED for n in (1, 2, 3)}


@pytest.mark.parametrize("cut", range(2, 40, 3))
def test_a_torn_end_is_left_out_and_what_follows_is_read(tmp_path, cut):
    path = tmp_path / "reports.log"
    write(path, made(1), made(2))
    path.write_bytes(path.read_bytes()[:-cut])
    assert ReportsLog(path).ledger.last == 1
    write(path, made(2)).close()
    assert ReportsLog(path).ledger.last == 2


def test_a_damaged_line_ends_what_counts(tmp_path):
    path = tmp_path / "reports.log"
    write(path, made(1), made(2))
    path.write_bytes(path.read_bytes().replace(b'"pid":2', b'"pid":3'))
    assert ReportsLog(path).ledger.last == 1


def test_the_log_is_rewritten_when_all_is_acked_and_forgets_no_number(tmp_path, monkeypatch):
    monkeypatch.setattr(reports, "COMPACT_ABOVE", 100)
    path = tmp_path / "reports.log"
    log = write(path, *map(made, range(1, 50)), KeepAcked(48, 49))
    size = path.stat().st_size
    log.compact(48, 49, {})
    assert path.stat().st_size == size
    log.keep(KeepAcked(49, 49))
    log.flush()
    log.compact(49, 49, {Key(7, "r9"): Told.STARTED | Told.ENDED})
    assert path.stat().st_size < 200
    log.keep(KeepReport(Key(7, "r9"), Lost(seq=50, run_id="r9", at="t", reason="gone")), Told.LOST)
    log.close()
    ledger = ReportsLog(path).ledger
    assert (ledger.acked, ledger.last, list(ledger.pending)) == (49, 50, [50])


def test_floors_are_kept_for_each_database(tmp_path):
    Floors(tmp_path / "floor").keep(7, 1, 20)
    Floors(tmp_path / "floor").keep(2**63, 4, 5, 6)
    assert Floors(tmp_path / "floor").orders == {7: (1, 20, 0), 2**63: (4, 5, 6)}


def test_the_epoch_is_made_once_for_a_spool(tmp_path):
    epoch = take_epoch(tmp_path)
    assert take_epoch(tmp_path) == epoch
    (tmp_path / "epoch").unlink()
    assert take_epoch(tmp_path) != epoch


def test_a_full_disk_loses_no_line_and_tears_none(tmp_path, monkeypatch):
    path = tmp_path / "reports.log"
    log = write(path, made(1))
    real, room = os.write, [20]

    def full(fd: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "no space left on device")
        written = real(fd, bytes(data)[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(reports.os, "write", full)
    log.keep(made(2))
    with pytest.raises(OSError, match="no space"):
        log.flush()
    room[0] = 10_000
    log.keep(made(3))
    log.flush()
    assert list(ReportsLog(path).ledger.pending) == [1, 2, 3]
