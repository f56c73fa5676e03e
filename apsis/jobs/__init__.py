"""Jobs: what a team writes as YAML files, read, checked, and bound to the args of a run."""

from apsis.definitions.finding import Finding
from apsis.jobs.bind import Bound, bind_args, complete_args, expand
from apsis.jobs.job import Job, JobError, Loaded
from apsis.jobs.load import load_jobs
from apsis.jobs.parse import job_json, parse_job
from apsis.programs.templated import BindError

__all__ = [
    "BindError",
    "Bound",
    "Finding",
    "Job",
    "JobError",
    "Loaded",
    "bind_args",
    "complete_args",
    "expand",
    "job_json",
    "load_jobs",
    "parse_job",
]
