"""`apsisctl stop --kill-runs` ends the runs that nobody keeps any more, too."""

import os
import signal
from pathlib import Path

import pytest

from apsis_services.supervisor.zygote.journal import read_journal
from harness.installation import Installation, until

#: deaf: ignores TERM; each leaves a daemon in a session of its own
JOB = """
params: [deaf]
program:
  type: shell
  command: |
    [ "{{ deaf }}" = yes ] && trap "" TERM
    setsid sleep 300 &
    while :; do sleep 0.1; done
  stop: {grace_period: 1}
"""


def processes_of(home: Path) -> list[int]:
    """Return the programs of a home that live, by their environment."""
    tag = f"APSIS_HOME={home}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            variables = (entry / "environ").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if tag in variables and any(one.startswith(b"APSIS_RUN_ID=") for one in variables):
            found.append(int(entry.name))
    return found


@pytest.mark.timeout(120)
def test_runs_whose_shim_and_zygote_are_dead_are_ended_and_counted() -> None:
    with Installation({"daemons": JOB}) as home:
        for deaf in ("yes", "no"):
            home.make("daemons", args={"deaf": deaf})
        until(lambda: home.count("state:running") == 2 and len(processes_of(home.home)) >= 4, 30, "two running runs")
        for path in (home.home / "spool" / "journals").glob("*.j"):
            claim = read_journal(path).claim
            assert claim is not None
            shim = claim["pid"]
            if home.processes().get("zygote"):
                home.kill("zygote")
            os.kill(shim, signal.SIGKILL)

        said = home.control("stop", "--kill-runs")

        assert "so are 2 runs" in said
        assert processes_of(home.home) == []
