"""What processes used: the fields of `apsis.runs.run.Usage`, in seconds, bytes and counts."""

import resource
from collections.abc import Sequence
from typing import Final, NamedTuple

_KIB = 1024


class Usage(NamedTuple):
    """CPU seconds, peak memory in bytes, and counts."""

    utime: float = 0.0
    stime: float = 0.0
    maxrss: int = 0
    minflt: int = 0
    majflt: int = 0
    inblock: int = 0
    oublock: int = 0
    nvcsw: int = 0
    nivcsw: int = 0

    @classmethod
    def of(cls, rusage: resource.struct_rusage) -> "Usage":
        """Return what `wait4` gave."""
        return cls(
            round(rusage.ru_utime, 6),
            round(rusage.ru_stime, 6),
            rusage.ru_maxrss * _KIB,
            rusage.ru_minflt,
            rusage.ru_majflt,
            rusage.ru_inblock,
            rusage.ru_oublock,
            rusage.ru_nvcsw,
            rusage.ru_nivcsw,
        )

    @classmethod
    def of_longs(cls, longs: Sequence[int]) -> "Usage":
        """Return what the 18 longs of a `struct rusage` say."""
        return cls(
            longs[0] + longs[1] / 1_000_000,
            longs[2] + longs[3] / 1_000_000,
            longs[4] * _KIB,
            longs[8],
            longs[9],
            longs[11],
            longs[12],
            longs[16],
            longs[17],
        )

    def plus(self, other: "Usage") -> "Usage":
        """Return what both used together: sums, and the larger of the two peaks."""
        return Usage(
            round(self.utime + other.utime, 6),
            round(self.stime + other.stime, 6),
            max(self.maxrss, other.maxrss),
            *(mine + theirs for mine, theirs in zip(self[3:], other[3:], strict=True)),
        )


#: what nobody has used
NOTHING: Final = Usage()
