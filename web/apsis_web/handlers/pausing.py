"""Holding a job, or everything, and letting it go on."""

import msgspec

from apsis.messages.requests import PauseJobs, ResumeJobs
from apsis_web.handlers.resource import Resource


class PauseOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why; at most 1000 characters."""

    reason: str = ""


class _Pausing(Resource):
    async def change(self, job_id: str | None, verb: str) -> None:
        """Pause or resume a job, None: everything; say who holds what."""
        self.arguments_of()
        kind = PauseJobs if verb == "pause" else ResumeJobs
        done = await self.do(kind(job_id=job_id, reason=self.body(PauseOrder).reason))
        self.send({**done.result, "seq": done.seq})


class PauseJob(_Pausing):
    """POST /jobs/{id}/pause and /jobs/{id}/resume."""

    async def post(self, job_id: str, verb: str) -> None:
        """Do it."""
        await self.change(job_id, verb)


class PauseAll(_Pausing):
    """POST /control/pause and /control/resume."""

    write_role = "admin"

    async def post(self, verb: str) -> None:
        """Do it."""
        await self.change(None, verb)
