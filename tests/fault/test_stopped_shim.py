"""A shim that is stopped (SIGSTOP) takes no order: the supervisor ends the run's processes without it."""

import os
import signal
import sys

from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.watching.orphans import find_tagged
from apsis_services.supervisor.zygote.identity import Identity
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


def kept_by(place: Installation, run_id: str) -> tuple[Key, int]:
    """Return the key of a run that lives, and the pid of its shim."""
    for path in (place.home / "spool" / "journals").iterdir():
        parsed = parse_key(path.name)
        claim = read_journal(path).claim if parsed and parsed[1] == run_id else None
        if parsed is not None and claim is not None:
            return Key(*parsed), claim["pid"]
    raise AssertionError(f"{run_id} has no journal")


def living(place: Installation, key: Key) -> list[Identity]:
    """Return the processes that carry the run's tag."""
    epoch = (place.home / "spool" / "epoch").read_text().strip()
    return find_tagged(epoch, [key])[key]


def test_a_run_whose_shim_is_stopped_is_ended_whole_and_says_by_whom(one):
    run_id = one.make("stubborn")[0]["run_id"]
    until(lambda: one.run(run_id)["state"] == "running", 20, "its start")
    key, shim = kept_by(one, run_id)
    until(lambda: len(living(one, key)) == 2, 20, "both processes")
    os.kill(shim, signal.SIGSTOP)
    one.call("POST", f"/runs/{run_id}/stop")
    until(lambda: one.run(run_id)["state"] not in ("running", "stopping"), 30, "its end")
    run = one.run(run_id)
    assert run["exit"]["signal"] == signal.SIGKILL
    assert run["exit"]["killed_by"].startswith("stop by")
    assert living(one, key) == []
