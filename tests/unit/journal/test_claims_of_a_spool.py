"""A claim is taken in the spool that its start was ordered for, and in no other."""

import errno
import os

import pytest

from apsis_services.supervisor.zygote import journal_file
from apsis_services.supervisor.zygote.journal import journal_path, read_journal
from apsis_services.supervisor.zygote.journal_file import take_claim

CLAIM = {"e": "claim", "v": 1, "journal": 7, "run_id": "r1", "pid": 10, "ticks": 100, "boot": "b", "epoch": "e1"}


def make(spool, epoch):
    for folder in ("journals", "archive", "runs"):
        (spool / folder).mkdir(parents=True)
    if epoch:
        (spool / "epoch").write_text(f"{epoch}\n")


def test_a_start_is_claimed_in_the_spool_that_it_was_ordered_for(tmp_path):
    make(tmp_path, "e1")
    assert take_claim(str(tmp_path), 7, "r1", [CLAIM], epoch="e1") is not None
    assert take_claim(str(tmp_path), 7, "r1", [CLAIM], epoch="e1") is None


@pytest.mark.parametrize("epoch", ["e2", "e11", ""], ids=["another", "one that begins as it does", "none yet"])
def test_a_start_that_was_ordered_for_another_spool_is_not_claimed(tmp_path, epoch):
    make(tmp_path, epoch)
    with pytest.raises(OSError, match="another spool") as refused:
        take_claim(str(tmp_path), 7, "r1", [CLAIM], epoch="e1")
    assert refused.value.errno == errno.ESTALE
    assert read_journal(journal_path(tmp_path, 7, "r1")).phase == "none"
    assert os.listdir(tmp_path / "journals") == []


def test_a_spool_that_is_replaced_after_its_epoch_was_looked_at_gets_no_claim_either(tmp_path, monkeypatch):
    spool, gone = tmp_path / "spool", tmp_path / "gone"
    make(spool, "e1")
    allocate = os.posix_fallocate

    def replace_it(fd, offset, length):
        allocate(fd, offset, length)
        spool.rename(gone)
        make(spool, "e2")

    monkeypatch.setattr(journal_file.os, "posix_fallocate", replace_it)
    with pytest.raises(FileNotFoundError):
        take_claim(str(spool), 7, "r1", [CLAIM], epoch="e1")
    assert os.listdir(spool / "journals") == []
    assert not [name for name in os.listdir(gone / "journals") if name.endswith(".j")]
