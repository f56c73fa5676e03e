"""Jobs: what is loaded, and loading again."""

import msgspec

from apsis.filters import parse, parse_jobs
from apsis.messages.requests import ReloadJobs
from apsis_web.handlers.resource import Resource
from apsis_web.handlers.runs import LIST, RunList, require_job


class Jobs(Resource):
    """GET /jobs."""

    def get(self) -> None:
        """Return the jobs that match, by id."""
        given = self.arguments_of("q")
        cache = self.site.cache
        cache.require()
        jobs = self.site.jobs.matching(parse_jobs(given.get("q", "")))
        self.send(
            {
                "jobs": [msgspec.Raw(data) for data in jobs.values()],
                "errors": msgspec.Raw(cache.job_errors),
                "seq": cache.seq,
            }
        )


class OneJob(Resource):
    """GET /jobs/{id}."""

    def get(self, job_id: str) -> None:
        """Return the job."""
        self.arguments_of()
        cache = self.site.cache
        cache.require()
        require_job(cache, job_id)
        self.send(msgspec.Raw(self.site.jobs.rows()[job_id]))


class JobRuns(RunList):
    """GET /jobs/{id}/runs: as GET /runs, of one job, loaded or not: its runs stay when it goes."""

    async def get(self, job_id: str) -> None:
        """Return a window of the job's runs."""
        given = self.arguments_of(*LIST)
        text = given.get("q", "")
        # Parsed alone first, so that the columns of an error are those of the caller's text.
        parse(text)
        quoted = job_id.replace("\\", "\\\\").replace('"', '\\"')
        await self.send_window(parse(f'job:"{quoted}" {text}'), given)


class ReloadOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /jobs/reload: `force` lets a reload pass that would remove many jobs."""

    dry_run: bool = False
    force: bool = False


class Reload(Resource):
    """POST /jobs/reload?dry_run=."""

    async def post(self) -> None:
        """Say what would change, and change it unless it is a dry run."""
        given = self.arguments_of("dry_run", "force")
        order = self.body(ReloadOrder)
        deed = ReloadJobs(
            dry_run=order.dry_run or _is_true(given.get("dry_run")), force=order.force or _is_true(given.get("force"))
        )
        done = await self.do(deed)
        self.send({**done.result, "seq": done.seq})


def _is_true(text: str | None) -> bool:
    return text is not None and text.lower() in ("1", "true", "yes", "")
