"""A spool that is taken away while a start is under way: what was ordered for it starts nothing in the one after it."""

import os
import signal
from pathlib import Path

from harness.installation import Installation, until
from harness.integrity import database_is_whole
from harness.points import Points
from harness.work import WORK, Ledger


def test_a_shim_that_was_about_to_claim_a_run_does_not_start_it_in_the_spool_that_came_after(
    ledger: Ledger, tmp_path: Path
) -> None:
    """The run has ended by then, "may have started": nobody would know of the program, or could stop it."""
    points = Points(tmp_path / "points")
    met = points.folder / "reached"
    met.mkdir(mode=0o777)
    args = {"seconds": "0.1", "code": "3", "ledger": str(ledger.path)}
    with Installation({"work": WORK}, environment=points.environment) as apsis:
        points.arm("shim.started-alone", "stop")
        run_id = apsis.make("work", args=args)[0]["run_id"]
        until(lambda: list(met.iterdir()), 20, "a shim that has not claimed its run")
        shim = int(next(met.iterdir()).name.rpartition(".")[2])
        spool = apsis.home / "spool"
        epoch = (spool / "epoch").read_text()
        spool.rename(apsis.home / "spool.gone")
        os.kill(apsis.service("supervisor"), signal.SIGKILL)
        until(lambda: (spool / "epoch").exists() and (spool / "epoch").read_text() != epoch, 30, "a new spool")
        until(lambda: apsis.run(run_id)["state"] == "error", 40, "the run to end")
        assert "may have started before the host was lost" in apsis.run(run_id)["reason"]
        os.kill(shim, signal.SIGCONT)
        until(lambda: not Path(f"/proc/{shim}").exists(), 20, "the shim to end")
        again = apsis.make("work", args=args)[0]["run_id"]
        until(lambda: apsis.run(again)["state"] == "failure", 30, "a run in the new spool, by the same zygote")
        assert dict(ledger.starts()) == {again: 1}
        assert apsis.run(run_id)["state"] == "error"
        database_is_whole(apsis.home)
