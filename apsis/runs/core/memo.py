"""The memo of a start: what its host keeps in the claim, for a scheduler whose database has lost the run."""

from typing import Any

import msgspec

from apsis.runs.core.rows import Facts, RunRow


class Memo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What cannot be known of a run from its job, its args and its end alone. Claims of older versions have none."""

    #: content hash of the job's definition that it was bound from
    version: str = ""
    #: a schedule made it; None: not said
    expected: bool | None = None
    schedule: str | None = None
    success_codes: tuple[int, ...] = (0,)
    error_codes: tuple[int, ...] = ()
    own_signal: int = 15
    own_grace: float = 60.0
    late_after: float = 60.0
    rerun_of: str | None = None
    retry_of: str | None = None
    attempt: int = 0
    #: what it takes of each resource
    resources: dict[str, int] = {}
    #: (id, sha256 of its body) of the request that asked for it: asked again, it runs nothing
    request: tuple[str, str] | None = None

    def facts(self) -> Facts:
        """Return what the core alone needs to know of the run."""
        return Facts(
            schedule=self.schedule,
            success_codes=self.success_codes,
            error_codes=self.error_codes,
            own_signal=self.own_signal,
            own_grace=self.own_grace,
            late_after=self.late_after,
            resources=self.resources,
            request=self.request,
        )


def memo_of(row: RunRow) -> dict[str, Any]:
    """Return a run's memo as `Start` carries it."""
    run, facts = row.run, row.facts
    memo = Memo(
        version=run.job_version,
        expected=run.expected,
        schedule=facts.schedule,
        success_codes=facts.success_codes,
        error_codes=facts.error_codes,
        own_signal=facts.own_signal,
        own_grace=facts.own_grace,
        late_after=facts.late_after,
        resources=facts.resources,
        rerun_of=run.rerun_of,
        retry_of=run.retry_of,
        attempt=run.attempt,
        request=facts.request,
    )
    found: dict[str, Any] = msgspec.to_builtins(memo)
    return found


def read_memo(memo: dict[str, Any]) -> Memo:
    """Return the memo that a host gives back; what is no memo says nothing."""
    try:
        return msgspec.convert(memo, Memo)
    except msgspec.ValidationError:
        return Memo()
