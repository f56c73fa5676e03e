"""Checking a definition that nobody has loaded yet."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from typing import Any, Final

import msgspec

from apsis.checking.definition import Answer, Question, check_targets
from apsis.checking.facts import Facts
from apsis.checking.report import to_json
from apsis.definitions.finding import ERROR
from apsis.errors import BadRequest
from apsis.jobs.ids import wrong_id
from apsis.jobs.params import Param
from apsis.messages.body import encode
from apsis_web.handlers.resource import Resource

#: seconds for one definition; and how many are looked at at once
_DEADLINE: Final = 20.0
_AT_ONCE: Final = asyncio.Semaphore(2)


class Unloaded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /jobs/check: the text of a file as `yaml`, or a definition as `job`."""

    job_id: str = "new"
    job: dict[str, Any] | None = None
    yaml: str | None = None


class _Params(msgspec.Struct, frozen=True):
    """What is needed of a loaded job."""

    params: list[str] = []
    param_specs: dict[str, dict[str, Any]] = {}


class CheckJob(Resource):
    """POST /jobs/check."""

    #: a definition may name classes, which are imported: whoever may do this may run programs
    write_role = "admin"

    async def post(self) -> None:
        """Say everything that is wrong with a definition, and load nothing."""
        self.arguments_of()
        given = self.body(Unloaded)
        if (given.job is None) == (given.yaml is None):
            raise BadRequest("the body needs `job` (a definition) or `yaml` (the text of a file)", loc="job")
        if (why := wrong_id(given.job_id)) is not None:
            raise BadRequest(why, loc="job_id")
        config = self.site.config
        question = Question(
            job_id=given.job_id,
            job=given.job,
            yaml=given.yaml,
            calendars=str(config.job_dir / "calendars"),
            resources=dict(config.resources),
            extensions=config.extensions,
        )
        async with _AT_ONCE:
            answer = await _ask(question)
        findings = list(answer.findings)
        if answer.facts is not None:
            rows = self.site.jobs.rows()
            named = {each.job_id for each in answer.facts.targets} & rows.keys()
            others = {name: _facts(name, rows[name]) for name in named}
            findings += check_targets(answer.facts, others, rows.keys())
        good = not any(finding.severity == ERROR for finding in findings)
        self.send({"job_id": given.job_id, "ok": good, "findings": [to_json(finding) for finding in findings]})


async def _ask(question: Question) -> Answer:
    """Return what a process of its own finds; a definition that outlasts it is told so."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "apsis.checking", stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True
    )
    data = b""
    try:
        async with asyncio.timeout(_DEADLINE):
            data, _ = await process.communicate(encode(question))
    except TimeoutError:
        pass
    finally:
        # what a class has left behind goes too
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    try:
        return msgspec.json.decode(data, type=Answer)
    except msgspec.DecodeError:
        raise BadRequest(
            f"the definition cannot be checked within {_DEADLINE:g} s, or ends the process that checks it",
            hint="look at its schedule's class, or at templates that take long",
        ) from None


def _facts(job_id: str, row: bytes) -> Facts:
    """Return what a job that is loaded takes."""
    loaded = msgspec.json.decode(row, type=_Params)
    params = {}
    for name in loaded.params:
        spec = loaded.param_specs.get(name, {})
        choices = spec.get("choices")
        params[name] = Param(
            default=spec.get("default"),
            choices=None if choices is None else tuple(choices),
            pattern=spec.get("pattern"),
        )
    return Facts(job_id=job_id, file="", params=params, targets=(), scheduled=False)
