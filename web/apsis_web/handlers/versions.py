"""Versions of jobs: those that a job has had, and the one that a run was bound from."""

from typing import Final

import msgspec

from apsis.errors import BadRequest, NotFound
from apsis_web.handlers.resource import Resource
from apsis_web.handlers.runs import require_job
from apsis_web.site import Site
from apsis_web.versions import version_of_run, versions_of_job

_LIMIT: Final = 50
_LIMIT_MAX: Final = 500


class _Versioned(msgspec.Struct, frozen=True):
    """What is needed of a job, or of a run."""

    version: str = ""
    job_id: str = ""
    job_version: str = ""


class JobVersions(Resource):
    """GET /jobs/{id}/versions: also of a job that is loaded no more."""

    async def get(self, job_id: str) -> None:
        """Return the versions, the newest first, each with the keys in which today's is another."""
        limit = _limit(self.arguments_of("limit").get("limit"))
        self.site.cache.require()
        found = await versions_of_job(self.site.database, job_id, _today(self.site, job_id), limit)
        if not found:
            require_job(self.site.cache, job_id)
        self.send({"job_id": job_id, "versions": found})


class RunVersion(Resource):
    """GET /runs/{id}/version."""

    async def get(self, run_id: str) -> None:
        """Return the version that the run was bound from, with the keys in which today's is another."""
        self.arguments_of()
        run = msgspec.json.decode(await self.run_json(run_id), type=_Versioned)
        self.site.cache.require()
        found = await version_of_run(self.site.database, run.job_version, _today(self.site, run.job_id))
        if found is None:
            raise NotFound(f"the version that {run_id} was bound from is kept no more")
        self.send({"job_id": run.job_id, **found})


def _today(site: Site, job_id: str) -> str | None:
    """Return the version of a job that holds now; None: it is not loaded."""
    data = site.cache.jobs.get(job_id)
    return msgspec.json.decode(data, type=_Versioned).version if data is not None else None


def _limit(text: str | None) -> int:
    if text is None:
        return _LIMIT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= _LIMIT_MAX:
        raise BadRequest(f"limit is a number from 1 to {_LIMIT_MAX}", loc="limit")
    return int(text)
