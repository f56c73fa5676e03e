"""Stuck: jobs none of whose runs can ever start, whoever makes them."""

from collections.abc import Mapping

from apsis.checking.facts import entry_path
from apsis.definitions.finding import WARNING, Findings
from apsis.jobs.job import Job


def check_stuck(job: Job, findings: Findings, resources: Mapping[str, int] | None) -> None:
    """Note conditions that never hold, and resources that are not there; `resources` None: they are not known."""
    for index, condition in enumerate(job.conditions):
        if condition.type == "const" and getattr(condition, "value", None) is False:
            # it may be meant: somebody looks, and starts the run by hand
            message = "condition: `const` with `value: false` never holds, so no run of this job ever starts by itself"
            findings.add(entry_path(job, "condition", index), message, code="never_runs", severity=WARNING)
        if condition.type == "dependency" and getattr(condition, "states", None) == ():
            message = "condition: a dependency without states never holds; name at least one"
            findings.add(entry_path(job, "condition", index), message, code="never_runs")
    for name, count in job.resources.items():
        if resources is None:
            continue
        if name not in resources:
            message = f"resources: there is no resource {name!r} in the config; known: {', '.join(resources) or 'none'}"
            findings.add(("resources", name), message, code="never_runs")
        elif count > resources[name]:
            message = f"resources: a run takes {count} of {name!r}, and there are {resources[name]}: it never starts"
            findings.add(("resources", name), message, code="never_runs")
