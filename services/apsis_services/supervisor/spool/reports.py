"""What the supervisor must remember by itself: the epoch, the floors, and the reports not yet committed.

All of it survives `kill -9`; none of it is synced, since after a power cut the boot id differs and the
scheduler's own numbers decide (see `outbox`).
"""

import os
import secrets
from pathlib import Path
from typing import Final

import msgspec

from apsis.messages.dispatch import Report
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.outbox import Ledger
from apsis_services.supervisor.protocol import KeepAcked, KeepReport
from apsis_services.supervisor.spool.guarded import seal, unseal, unseal_at
from apsis_services.supervisor.tidings import Told

#: bytes of log above which it is rewritten once all is acked
COMPACT_ABOVE: Final = 256 * 1024


class _Base(msgspec.Struct, frozen=True, kw_only=True, tag="base"):
    """First line of a rewritten log."""

    acked: int
    last: int
    told: list[tuple[int, str, int]]


class _Made(msgspec.Struct, frozen=True, kw_only=True, tag="made"):
    """A report was numbered; `told` is all that has been told of the run with it."""

    journal: int
    report: Report
    told: int


class _AckedTo(msgspec.Struct, frozen=True, kw_only=True, tag="acked"):
    """Reports up to here are committed."""

    acked: int
    last: int


_Line = _Base | _Made | _AckedTo


class ReportsLog:
    """`reports.log`: appended to in one write a turn, rewritten when all is acked and it has grown."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._buffer: list[bytes] = []
        data = path.read_bytes() if path.exists() else b""
        self.ledger, whole = _replay(data)
        if data and whole == len(data):
            self._fd, self._size = _open(path), whole
        else:
            # What follows a torn line would never be read: a fresh file holds what counted.
            self._fd = self._rewrite(self.ledger)

    def keep(self, effect: KeepReport | KeepAcked, told: Told = Told.NOTHING) -> None:
        """Take one line; it is written by `flush`."""
        match effect:
            case KeepReport(key, report):
                self._buffer.append(seal(_Made(journal=key.journal, report=report, told=int(told))))
            case KeepAcked(seq, last):
                self._buffer.append(seal(_AckedTo(acked=seq, last=last)))

    def flush(self) -> None:
        """Write what was taken; only then may it be sent.

        Raises:
            OSError: the disk is full, say; what was not written is kept, and written by the next call.
        """
        data = b"".join(self._buffer)
        while data:
            self._buffer = [data]
            written = os.write(self._fd, data)
            self._size += written
            data = data[written:]
        self._buffer = []

    def compact(self, acked: int, last: int, told: dict[Key, Told]) -> None:
        """Rewrite the log if it has grown and everything in it is acked."""
        if acked == last and self._size > COMPACT_ABOVE and not self._buffer:
            old = self._fd
            self._fd = self._rewrite(Ledger(acked=acked, last=last, told=told))
            os.close(old)

    def close(self) -> None:
        """Write what is left and let go of the file."""
        self.flush()
        os.close(self._fd)

    def _rewrite(self, ledger: Ledger) -> int:
        lines = [seal(_Base(acked=ledger.acked, last=ledger.last, told=_told_list(ledger)))]
        lines += [
            seal(_Made(journal=key.journal, report=report, told=int(ledger.told.get(key, Told.NOTHING))))
            for key, report in ledger.pending.values()
        ]
        data = b"".join(lines)
        replace_file(self._path, data)
        self._size = len(data)
        return _open(self._path)


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)


def _told_list(ledger: Ledger) -> list[tuple[int, str, int]]:
    return [(key.journal, key.run_id, int(told)) for key, told in ledger.told.items()]


def _replay(data: bytes) -> tuple[Ledger, int]:
    """Return what the lines say together, and how many bytes of them count."""
    ledger = Ledger()
    whole = 0
    for line, whole in unseal_at(data, _Line):  # noqa: B007 - the last one is returned
        match line:
            case _Base():
                ledger = Ledger(acked=line.acked, last=line.last)
                ledger.told = {Key(journal, run_id): Told(told) for journal, run_id, told in line.told}
            case _Made():
                key = Key(line.journal, line.report.run_id)
                ledger.last = line.report.seq
                ledger.pending[line.report.seq] = (key, line.report)
                if line.told:
                    ledger.told[key] = Told(line.told)
            case _AckedTo():
                ledger.acked, ledger.last = line.acked, max(line.last, line.acked)
                ledger.pending = {seq: made for seq, made in ledger.pending.items() if seq > line.acked}
    return ledger, whole


def take_epoch(spool: Path) -> str:
    """Return the spool's own random name; it is made once, and a spool made anew has another."""
    path = spool / "epoch"
    if path.exists() and (epoch := path.read_text().strip()):
        return epoch
    epoch = secrets.token_hex(8)
    replace_file(path, epoch.encode() + b"\n")
    return epoch


class Floors:
    """`floor`: for each database its term, floor and the life of that term, one guarded line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        data = path.read_bytes() if path.exists() else b""
        # the first version wrote no life
        found: dict[str, list[int]] = next(unseal(data, dict[str, list[int]]), {})
        self.orders: dict[int, tuple[int, int, int]] = {}
        for journal, order in found.items():
            term, floor, life = (*order, 0)[:3]
            self.orders[int(journal)] = (term, floor, life)

    def keep(self, journal: int, term: int, floor: int, life: int = 0) -> None:
        """Write one database's term, floor and life."""
        self.orders[journal] = (term, floor, life)
        replace_file(self._path, seal({str(number): order for number, order in self.orders.items()}))


def replace_file(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 whole, or leave the old one whole."""
    new = path.with_name(path.name + ".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write_all(fd, data)
    finally:
        os.close(fd)
    new.rename(path)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
