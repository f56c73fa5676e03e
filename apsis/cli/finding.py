"""What a name may have meant that nothing answers to."""

import difflib
import re
from typing import TYPE_CHECKING, Final

from apsis.errors import ApsisError, NotFound

if TYPE_CHECKING:
    from apsis.client import Client

_RUN: Final = re.compile(r"r[0-9]+")


def is_run_id(text: str) -> bool:
    """Say whether a text has the form of a run's id."""
    return _RUN.fullmatch(text) is not None


def no_such_job(client: "Client", name: str) -> ApsisError:
    """Return the error for a job that is not there, with those that may be meant."""
    names = [job["job_id"] for job in client.jobs()["jobs"]]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    folder = name.rpartition("/")[0]
    lines = [f"Did you mean: {', '.join(near)}"] if near else []
    lines.append(f"List jobs:    apsis jobs {folder + '/' if folder else ''}".rstrip())
    return NotFound(f"no job {name!r}", hint="\n".join(lines))


def no_such_run(client: "Client", name: str) -> ApsisError:
    """Return the error for a run that is not there."""
    if not is_run_id(name):
        return NotFound(f"{name!r} is no run id", hint="A run id looks like r123.  List runs: apsis runs")
    return NotFound(f"no run {name!r}", hint="List runs: apsis runs")
