"""A shim that is stopped (SIGSTOP) takes no order: the supervisor ends the run's processes without it."""

import os
import signal
import sys

from apsis_services.supervisor.orphans import find_tagged
from apsis_services.supervisor.zygote.journal import parse_key, read_journal
from harness.installation import Installation, until

#: ignores TERM, and has a child that went into a session of its own
STUBBORN = f"""
program:
  type: program
  argv:
    - {sys.executable}
    - -c
    - |
      import os, signal, time
      signal.signal(signal.SIGTERM, signal.SIG_IGN)
      if os.fork() == 0:
          os.setsid()
      print("up", flush=True)
      time.sleep(60)
  stop: {{grace_period: 0.3}}
"""
JOBS = {"stubborn": STUBBORN}


def shim_of(place: Installation, run_id: str) -> int:
    for path in (place.home / "spool" / "journals").iterdir():
        parsed = parse_key(path.name)
        claim = read_journal(path).claim if parsed and parsed[1] == run_id else None
        if claim is not None:
            return claim["pid"]
    raise AssertionError(f"{run_id} has no journal")


def test_a_run_whose_shim_is_stopped_is_ended_whole_and_says_by_whom(one):
    run_id = one.make("stubborn")[0]["run_id"]
    epoch = (one.home / "spool" / "epoch").read_text().strip()
    until(lambda: len(find_tagged(epoch, [run_id])[run_id]) == 2, 20, "both processes")
    os.kill(shim_of(one, run_id), signal.SIGSTOP)
    one.call("POST", f"/runs/{run_id}/stop")
    until(lambda: one.run(run_id)["state"] not in ("running", "stopping"), 30, "its end")
    run = one.run(run_id)
    assert run["exit"]["signal"] == signal.SIGKILL
    assert run["exit"]["killed_by"].startswith("stop by")
    assert find_tagged(epoch, [run_id])[run_id] == []
