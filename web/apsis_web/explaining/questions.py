"""Questions that a process of its own answers: structs with a tag, one line of JSON each way."""

from typing import Any

import msgspec


class Question(msgspec.Struct, frozen=True, kw_only=True, tag_field="ask", tag=str.lower, forbid_unknown_fields=True):
    """What is asked; times in the one form."""


class Forecast(Question, frozen=True, kw_only=True):
    """What will run in (start, end], as far as `q` finds it."""

    start: str
    end: str
    q: str = ""
    limit: int = 1_000


class DueTimes(Question, frozen=True, kw_only=True):
    """When a job is due in a window, and what leaves a day out."""

    job_id: str
    start: str
    end: str


class WhyRun(Question, frozen=True, kw_only=True):
    """Why a run stands as it does."""

    run_id: str


class Needs(Question, frozen=True, kw_only=True):
    """What a run needs, and what it blocks."""

    run_id: str


class WhyJob(Question, frozen=True, kw_only=True):
    """Why a job runs or does not: at all, or on a date or at a time."""

    job_id: str
    on: str | None = None


class WhoHolds(Question, frozen=True, kw_only=True):
    """What holds a resource."""

    resource: str


class Missed(Question, frozen=True, kw_only=True):
    """Which due times did not become runs."""

    start: str
    end: str


class WhyNothing(Question, frozen=True, kw_only=True):
    """Why nothing starts, as far as the records say."""

    #: what health found to be wrong with services: `{id, status, message}`
    checks: list[dict[str, Any]] = []


class Examine(Question, frozen=True, kw_only=True):
    """What is not as it should be."""

    #: there is no server that looks at the disks
    alone: bool = False


Asked = Forecast | DueTimes | WhyRun | Needs | WhyJob | WhoHolds | Missed | WhyNothing | Examine


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The question cannot be answered; `code` is that of `apsis.errors`."""

    code: str
    message: str
    hint: str = ""
    loc: str = ""
