"""The table of a journal and its lock: nothing is said to have failed while somebody may still say otherwise."""

import itertools

import pytest

from apsis.runs.run import Usage
from apsis_services.supervisor.watching.verdicts import ADOPTION, TABLE, Holder, Situation, Verdict, facts_of
from apsis_services.supervisor.zygote.journal import JournalState, state_of

CLAIM = {
    "e": "claim", "dispatch": 1, "job_id": "a", "schedule_time": None, "args_hash": "h", "args": {}, "at": "a",
    "boot": "b1", "pid": 10, "ticks": 100, "memo": {},
}  # fmt: skip


def situation(phase: str, *, locked: bool, boot: str = "b1", free_for: float = 0.0) -> Verdict:
    claim = {"boot": boot}
    return Situation(JournalState(phase, locked, claim=claim), "b1", free_for).verdict  # type: ignore[arg-type]


def test_every_phase_has_a_verdict_for_every_holder():
    phases = ("claim", "started", "result", "done", "revoked")
    assert set(TABLE) == set(itertools.product(phases, Holder))


@pytest.mark.parametrize("phase", ["claim", "started", "result"])
@pytest.mark.parametrize("boot", ["b1", "b0"])
def test_what_is_held_is_waited_for(phase, boot):
    assert situation(phase, locked=True, boot=boot, free_for=99) is Verdict.WAIT


@pytest.mark.parametrize("phase", ["claim", "started", "result"])
def test_a_zygote_has_time_to_adopt(phase):
    assert situation(phase, locked=False, free_for=ADOPTION / 2) is Verdict.WAIT


@pytest.mark.parametrize(
    ("phase", "verdict"), [("claim", Verdict.SEARCH), ("started", Verdict.SEARCH), ("result", Verdict.FINISH)]
)
def test_what_nobody_adopts_is_looked_into(phase, verdict):
    assert situation(phase, locked=False, free_for=ADOPTION) is verdict


def test_a_reboot_is_known_at_once_but_a_result_counts():
    assert situation("started", locked=False, boot="b0") is Verdict.LOST_IN_REBOOT
    assert situation("result", locked=False, boot="b0") is Verdict.FINISH


def test_a_use_that_nobody_was_told_is_unknown_and_not_zero():
    result = {
        "e": "result", "code": 0, "signal": None, "error": "", "killed_by": "", "stopped": False, "timed_out": False,
        "start": "a", "end": "b", "elapsed": 1.0, "rusage": {}, "maxrss_floor": 0,
    }  # fmt: skip
    done = {"e": "done", "at": "b", "rusage": {}, "leftovers": 0, "left": 0, "outputs": {}}
    ending = facts_of(state_of([CLAIM, result, done], locked=False)).ending
    assert ending is not None
    assert (ending.exit.code, ending.rusage) == (0, None)
    told = facts_of(state_of([CLAIM, result, done | {"rusage": {"utime": 0.5}}], locked=False)).ending
    assert told is not None
    assert told.rusage == Usage(utime=0.5)
