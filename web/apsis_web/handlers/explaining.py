"""Why, what needs what, when, and what will run."""

from datetime import timedelta
from typing import Final

from apsis.errors import BadRequest
from apsis.filters import parse
from apsis.times import format_time, from_micros, parse_time
from apsis_web.explaining import questions as ask
from apsis_web.handlers.resource import Resource
from apsis_web.handlers.runs import require_job

#: how far a forecast and a list of due times may reach
_FARTHEST: Final = timedelta(days=400)
_RUNS_MAX: Final = 1_000


class Explanation(Resource):
    """What is answered by a process of its own."""

    async def explain(self, question: ask.Asked) -> None:
        """Answer with what it says."""
        self.send(await self.site.explainer.ask(question))

    def window(self, given: dict[str, str], ahead: timedelta) -> dict[str, str]:
        """Return `start` and `end` as the query's `from` and `to` have them; else from now, and so far ahead.

        Raises:
            BadRequest: one is no time, or they are in the wrong order or too far apart.
        """
        now = from_micros(self.now)
        times = {}
        for name in ("from", "to"):
            try:
                times[name] = parse_time(given[name]) if name in given else None
            except (ValueError, OverflowError) as error:
                raise BadRequest(f"{name}: {error}", hint="write 2026-06-30T14:32:07Z", loc=name) from None
        start = times["from"] or now
        end = times["to"] or start + ahead
        if end < start:
            raise BadRequest("to lies before from", loc="to")
        if end - start > _FARTHEST:
            raise BadRequest(f"from and to are more than {_FARTHEST.days} days apart", hint="ask for less", loc="to")
        return {"start": format_time(start), "end": format_time(end)}


class WhyRun(Explanation):
    """GET /runs/{id}/why."""

    async def get(self, run_id: str) -> None:
        """Return `{subject, answer, because}`: what it waits for, or what ended it."""
        self.arguments_of()
        await self.run_json(run_id)
        await self.explain(ask.WhyRun(run_id=run_id))


class RunNeeds(Explanation):
    """GET /runs/{id}/dependencies."""

    async def get(self, run_id: str) -> None:
        """Return `{run_id, needs, blocks}`."""
        self.arguments_of()
        await self.run_json(run_id)
        await self.explain(ask.Needs(run_id=run_id))


class WhyJob(Explanation):
    """GET /jobs/{id}/why?on=: of a job that is there, or was, or never was."""

    async def get(self, job_id: str) -> None:
        """Return `{subject, answer, because}`; `on` is a date (in each schedule's zone) or a time."""
        given = self.arguments_of("on")
        self.site.cache.require()
        await self.explain(ask.WhyJob(job_id=job_id, on=given.get("on")))


class JobSchedule(Explanation):
    """GET /jobs/{id}/schedule?from=&to=."""

    async def get(self, job_id: str) -> None:
        """Return the due times of each schedule, and the days that it leaves out with what leaves them out."""
        given = self.arguments_of("from", "to")
        self.site.cache.require()
        require_job(self.site.cache, job_id)
        await self.explain(ask.DueTimes(job_id=job_id, **self.window(given, timedelta(days=14))))


class Forecast(Explanation):
    """GET /forecast?from=&to=&q=."""

    async def get(self) -> None:
        """Return `{runs, left_out, cut_at}`: what will run, in order of time."""
        given = self.arguments_of("from", "to", "q", "limit")
        self.site.cache.require()
        q = given.get("q", "")
        parse(q)
        await self.explain(ask.Forecast(q=q, limit=_limit(given.get("limit")), **self.window(given, timedelta(days=1))))


class Why(Explanation):
    """GET /why: why nothing starts; with `resource`, what holds it."""

    async def get(self) -> None:
        """Return `{subject, answer, because}`."""
        given = self.arguments_of("resource")
        if "resource" in given:
            await self.explain(ask.WhoHolds(resource=given["resource"]))
            return
        health = await self.site.health.look()
        checks = [{key: check[key] for key in ("id", "status", "message")} for check in health["checks"]]
        await self.explain(ask.WhyNothing(checks=[check for check in checks if check["status"] != "ok"]))


class Missed(Explanation):
    """GET /missed?from=&to=: due times that did not become runs."""

    async def get(self) -> None:
        """Return `{subject, answer, because}`."""
        given = self.arguments_of("from", "to")
        week = timedelta(days=7)
        if "from" not in given:
            given["from"] = format_time(from_micros(self.now) - week)
        await self.explain(ask.Missed(**self.window(given, week)))


def _limit(text: str | None) -> int:
    if text is None:
        return _RUNS_MAX
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= _RUNS_MAX:
        raise BadRequest(f"limit must be a number from 1 to {_RUNS_MAX}", loc="limit")
    return int(text)
