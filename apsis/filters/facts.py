"""What a filter looks at: of a run, and of a job."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec


class RunFacts(Protocol):
    """The fields of `apsis.runs.run.Run` that a filter reads; a `Run` is one."""

    @property
    def run_id(self) -> str: ...  # noqa: D102
    @property
    def job_id(self) -> str: ...  # noqa: D102
    @property
    def args(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def schedule_time(self) -> str | None: ...  # noqa: D102
    @property
    def timestamps(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def labels(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def host(self) -> str | None: ...  # noqa: D102
    @property
    def rerun_of(self) -> str | None: ...  # noqa: D102
    @property
    def late_by(self) -> float | None: ...  # noqa: D102
    @property
    def elapsed(self) -> float | None: ...  # noqa: D102


class StoredRun(msgspec.Struct, frozen=True, kw_only=True):
    """Run facts decoded from a run's JSON, without what a filter never reads: 2 µs instead of 10."""

    run_id: str
    job_id: str
    args: dict[str, str]
    state: str
    schedule_time: str | None = None
    timestamps: dict[str, str] = {}
    labels: list[str] = []
    host: str | None = None
    rerun_of: str | None = None
    late_by: float | None = None
    elapsed: float | None = None


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a filter reads of a job, as decoded from the JSON that REST shows."""

    job_id: str
    params: list[str] = []
    labels: list[str] = []
    metadata: dict[str, Any] = {}
