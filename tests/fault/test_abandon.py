"""A host that never comes back: runs are marked, one is given up by a person, its true end is known after all."""

import os
import signal

import pytest

from harness.installation import HarnessError, Installation, until
from harness.work import Ledger


@pytest.mark.nightly
def test_a_run_of_a_host_that_is_away_is_given_up_and_its_true_end_stands_in_its_log(
    installation: Installation, ledger: Ledger
) -> None:
    args = {"seconds": "18", "code": "0", "ledger": str(ledger.path)}
    run_id = installation.make("work", args=args)[0]["run_id"]
    until(lambda: installation.run(run_id)["state"] == "running", 10, "the program to run")
    with pytest.raises(HarnessError, match="can be reached"):
        installation.command("apsis", "abandon", run_id, "--confirm", run_id)
    manager = installation.service("manager")
    os.kill(manager, signal.SIGSTOP)
    try:
        installation.kill("supervisor")
        until(lambda: not installation.run(run_id)["reachable"], 30, "the mark")
        assert installation.run(run_id)["state"] == "running"
        with pytest.raises(HarnessError, match="confirm"):
            installation.command("apsis", "abandon", run_id)
        with pytest.raises(HarnessError, match="nothing was done"):
            installation.command("apsis", "abandon", run_id, "--confirm", "r0")
        installation.command("apsis", "abandon", run_id, "--confirm", run_id)
        assert installation.run(run_id)["state"] == "error"
    finally:
        os.kill(manager, signal.SIGCONT)
    until(lambda: "reported as finished" in installation.command("apsis", "log", run_id), 40, "its true end")
    assert "exit 0" in installation.command("apsis", "log", run_id)
    assert installation.run(run_id)["state"] == "error"
