"""`make`: a schedule from its definition, as a job file would have it. Beside it, `enumeration` and `generated`."""

import sys
from pathlib import Path

import pytest

from apsis.jobs import parse_job

# test folders are no packages; what the tests share lies beside them
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "times")]


@pytest.fixture
def make():
    """Return a function from a definition to its schedule; keys may be given as keywords."""

    def made(_definition=None, job_id="a job", **keys):
        definition = {**(_definition or {}), **keys}
        job = parse_job(job_id, {"program": "true", "params": ["x", "y", "date"], "schedule": definition})
        return job.schedules[0]

    return made
