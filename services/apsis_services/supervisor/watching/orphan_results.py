"""Writing how a program ended whose shim and zygote are gone: what the kernel still tells, or that nobody knows."""

import time
from pathlib import Path

from apsis_services.supervisor.watching.pidfd_info import Ended
from apsis_services.supervisor.watching.verdicts import REASONS
from apsis_services.supervisor.zygote.journal import JournalState
from apsis_services.supervisor.zygote.journal_file import take_over
from apsis_services.supervisor.zygote.orders import read_stop
from apsis_services.supervisor.zygote.records import Record
from apsis_services.supervisor.zygote.stamps import stamp_now


def write_result(spool: Path, key: str, state: JournalState, ended: Ended) -> bool:
    """Write the result of a run that nobody holds; False: somebody holds it after all, or has written it.

    Raises:
        OSError: the journal cannot be written.
    """
    held = take_over(str(spool / "journals" / f"{key}.j"))
    if held is None or state.started is None:
        return False
    journal, records = held
    try:
        if any(record["e"] == "result" for record in records):
            return False
        journal.append(_result(spool / "runs" / key, state.started["at"], state.started["mono"], ended))
    finally:
        journal.close()
    return True


def _result(folder: Path, began_at: str, began: float, ended: Ended) -> Record:
    """Return the result; what the program used is not known, and not invented."""
    killed_by = "" if ended.signal is None else f"signal {ended.signal} not sent by apsis"
    try:
        order = read_stop(str(folder))
    except (OSError, ValueError, KeyError):
        order = None  # its shim could not have read it either
    if order is not None:
        killed_by = f"stop by {order.by}"
    return {
        "e": "result",
        "code": ended.code,
        "signal": ended.signal,
        "error": "" if ended.known else REASONS["started"],
        "killed_by": killed_by,
        "stopped": order is not None,
        "timed_out": False,
        "start": began_at,
        "end": stamp_now(),
        "elapsed": round(max(0.0, time.monotonic() - began), 6),
        "rusage": {},
        "maxrss_floor": 0,
    }
