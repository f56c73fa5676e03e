"""Which outputs are no longer kept: by age, count and size of their job, and by the size of all. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from apsis.messages.outputs import KeepPolicy
from apsis_services.store.names import RunKey

_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Ended:
    """An output whose end is known. `at`: seconds since the epoch; `size`: bytes on the disk."""

    key: RunKey
    job_id: str
    at: float
    size: int
    #: what its job said when the run was started
    keep: KeepPolicy | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for jobs that say nothing, and for all outputs together (bytes; None: no limit)."""

    default: KeepPolicy = field(default_factory=KeepPolicy)
    total: int | None = None

    def for_job(self, own: KeepPolicy | None) -> KeepPolicy:
        """Return a job's policy: each limit that it does not name is the default one."""
        if own is None:
            return self.default
        return KeepPolicy(
            days=own.days if own.days is not None else self.default.days,
            count=own.count if own.count is not None else self.default.count,
            bytes=own.bytes if own.bytes is not None else self.default.bytes,
        )


@dataclass(slots=True)
class _Job:
    keep: KeepPolicy
    count: int = 0
    size: int = 0
    last: RunKey | None = None


def expired(newest_first: Iterable[Ended], rules: Rules, now: float) -> Iterator[tuple[Ended, str]]:
    """Yield what is no longer kept, and why: `age`, `count`, `size` or `total size`.

    A job is held to what its newest run says, so that a change of its file counts from the next run on. The
    newest output of a job is removed by age and total size alone: a limit of bytes always keeps one.
    """
    jobs: dict[str, _Job] = {}
    total = 0
    for ended in newest_first:
        job = jobs.get(ended.job_id)
        if job is None:
            job = jobs[ended.job_id] = _Job(rules.for_job(ended.keep))
        elif ended.key == job.last:
            continue  # a crash of the store may have listed it twice
        job.last = ended.key
        reason = _reason(job, ended, now)
        if reason is None and rules.total is not None and total + ended.size > rules.total:
            reason = "total size"
        if reason is not None:
            yield ended, reason
            continue
        job.count += 1
        job.size += ended.size
        total += ended.size


def _reason(job: _Job, ended: Ended, now: float) -> str | None:
    keep = job.keep
    if keep.days is not None and now - ended.at > keep.days * _DAY:
        return "age"
    if keep.count is not None and job.count >= keep.count:
        return "count"
    if keep.bytes is not None and job.count and job.size + ended.size > keep.bytes:
        return "size"
    return None
