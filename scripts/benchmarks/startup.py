"""How long an installation with ten thousand jobs needs to start: the first time, and again."""

import time
from typing import NamedTuple

from benchmarks.ten_thousand import BESIDE, JOBS
from benchmarks.usage import cpu, pss
from harness.installation import Installation, until


class Startup(NamedTuple):
    """One start."""

    #: seconds from `apsisctl start` to its end, which is when every service is ready
    all_ready: float
    #: and to the answer of REST that has all jobs
    answered: float
    #: CPU seconds of the scheduler and its loader until then
    cpu: float
    #: bytes (PSS) of the scheduler and of its watcher
    memory: int


def startups(home: Installation) -> tuple[Startup, list[Startup]]:
    """Return the first start of a home whose job files are there, and three later ones."""
    cold = _start(home)
    warm = []
    for _ in range(3):
        # the loader trusts a file's stamp only when it is some seconds old; and so all has come to rest
        time.sleep(4)
        home.control("stop")
        warm.append(_start(home))
    return cold, warm


def _start(home: Installation) -> Startup:
    begin = time.monotonic()
    home.start()
    ready = time.monotonic() - begin
    until(lambda: len(home.call("GET", "/jobs")["jobs"]) == JOBS + len(BESIDE), 60, "all jobs")
    answered = time.monotonic() - begin
    return Startup(ready, answered, cpu(home)["scheduler"], pss(home)["scheduler"])
