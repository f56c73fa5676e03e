"""The kernel's limits for each process of a run: set between fork and exec, while we still are who we are."""

import resource
from typing import Final

from apsis_services.supervisor.zygote.failure import SpawnError

#: names as a job file has them
KINDS: Final = {
    "cpu": resource.RLIMIT_CPU,
    "memory": resource.RLIMIT_AS,
    "open_files": resource.RLIMIT_NOFILE,
    "processes": resource.RLIMIT_NPROC,
    "file_size": resource.RLIMIT_FSIZE,
}
#: seconds of CPU from XCPU, which a program may take as a word of warning, to KILL
CPU_GRACE: Final = 5


def set_limits(limits: dict[str, int]) -> None:
    """Set limits of this process, soft and hard alike: the program cannot raise them.

    Raises:
        SpawnError: one is above what this host allows.
    """
    for name, value in limits.items():
        kind = KINDS[name]
        _, highest = resource.getrlimit(kind)
        hard = value + CPU_GRACE if name == "cpu" else value
        if name == "cpu" and highest != resource.RLIM_INFINITY and value <= highest < hard:
            hard = highest
        try:
            resource.setrlimit(kind, (value, hard))
        except (ValueError, OSError) as error:
            if highest != resource.RLIM_INFINITY and value > highest:
                why = f"this host allows at most {highest}, and only root may raise that"
            else:
                why = str(error)
            raise SpawnError(f"limits.{name} {value} cannot be set: {why}") from None
