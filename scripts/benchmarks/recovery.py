"""How long it takes after `kill -9` of each process until its work is done again, as somebody outside sees it."""

import contextlib
import http.client
import json
import statistics
import time
import urllib.error
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from harness.installation import Installation, until

TIMES: Final = 3
#: seconds of rest before each kill: a service that died young is started again after a pause
REST: Final = 1.5
PATIENCE: Final = 30.0
#: seconds between two looks
EVERY: Final = 0.01
JOBS: Final = {
    "true": "program: {type: program, argv: [/bin/true]}\n",
    "print": "program: {type: program, argv: [/bin/echo, hello]}\n",
}
#: for every one: none of them may hold up a run for longer
TARGET: Final = "<= 2000 ms"
PRINTED: Final = b"hello\n"
#: what a request ends in while a server is away
_AWAY: Final = (urllib.error.URLError, ConnectionError, http.client.HTTPException)


def undisturbed(home: Installation) -> float:
    """Return the seconds that a run of /bin/true takes, from its request to its success, with nobody killed."""
    return statistics.median(_timed(lambda: _run(home)) for _ in range(TIMES))


def recovery(home: Installation, name: str) -> float:
    """Kill a process and return the seconds until its work is done again: the median of some."""
    found = []
    for _ in range(TIMES):
        time.sleep(REST)
        home.kill(name)
        found.append(_timed(lambda: WORK[name](home)))
        until(lambda: name in home.processes(), PATIENCE, f"{name} to be there again")
    return statistics.median(found)


def _timed(work: Callable[[], object]) -> float:
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


def _run(home: Installation, job_id: str = "true") -> str:
    """Make a run and see its success; returns its id."""
    made = _ask(home, "POST", "/runs", {"job_id": job_id, "count": 1})
    run_id: str = json.loads(made)["runs"][0]["run_id"]

    def succeeded() -> bool:
        found = json.loads(_ask(home, "GET", f"/runs/{run_id}"))
        return bool(found.get("run", found)["state"] == "success")

    until(succeeded, PATIENCE, f"{run_id} of {job_id} to succeed", every=EVERY)
    return run_id


def _read_output(home: Installation) -> None:
    """Make a run that prints, and read what it printed."""
    run_id = _run(home, "print")

    def read() -> bool:
        try:
            return home.request("GET", f"/runs/{run_id}/output/output") == PRINTED
        except _AWAY:
            return False

    until(read, PATIENCE, f"the output of {run_id}", every=EVERY)


def _see_health(home: Installation) -> None:
    """See that the server of the page tells how things are."""
    json.loads(_ask(home, "GET", "/health"))["status"]


def _see_alerts(home: Installation) -> None:
    """See that the service for alerts tells how it goes."""
    json.loads(_ask(home, "GET", "/alerts"))["waiting"]


def _start(home: Installation) -> None:
    """Do what a person does: the services go on, and a new manager takes them up."""
    home.control("start", "--port", "0")


def _ask(home: Installation, method: str, path: str, body: Any = None) -> bytes:
    """Ask until there is an answer."""
    answers: list[bytes] = []

    def answered() -> bool:
        with contextlib.suppress(*_AWAY):
            answers.append(home.request(method, path, body))
        return bool(answers)

    until(answered, PATIENCE, f"an answer to {method} {path}", every=EVERY)
    return answers[0]


#: process: the work that shows that it is there again
WORK: Final[Mapping[str, Callable[[Installation], object]]] = MappingProxyType(
    {
        "hub": _run,
        "scheduler": _run,
        "supervisor": _run,
        "zygote": _run,
        "store": _read_output,
        "web": _see_health,
        "alerts": _see_alerts,
        "manager": _start,
    }
)
#: process: what is waited for, in the table's words
SEEN: Final = MappingProxyType(
    {
        **dict.fromkeys(("hub", "scheduler", "supervisor", "zygote"), "success of a new run"),
        "store": "the output of a new run",
        "web": "its answer",
        "alerts": "its answer",
        "manager": "the end of apsisctl start",
    }
)
