"""What else than an order can have ended a program: a limit of its run that it ran into. Decided from facts alone."""

import signal
from typing import Any, Final

from apsis_services.supervisor.zygote.rlimits import CPU_GRACE

_XCPU: Final = int(signal.SIGXCPU)
_XFSZ: Final = int(signal.SIGXFSZ)
_KILL: Final = int(signal.SIGKILL)
#: how a program ends that the kernel cannot even lay out in its memory, or that does not look what it was given
_OUT_OF_MEMORY: Final = (_KILL, int(signal.SIGSEGV), int(signal.SIGABRT), int(signal.SIGBUS))
#: the kernel counts CPU a little otherwise than rusage tells it
_SLACK: Final = 0.5


def limit_reached(claim: Any, number: int, cpu_seconds: float, oom_kills: int) -> str:
    """Return which limit of a run ended its program, for a person; empty: none that is known of.

    `number` is the signal that it died of, `oom_kills` how many of its group the kernel killed for lack of memory.
    """
    limits: dict[str, int] = claim.get("limits") or {}
    if number == _KILL and oom_kills:
        memory = (claim.get("group_limits") or {}).get("memory_max")
        bound = f" (cgroup.memory_max {int(memory)})" if memory else ""
        return f"out of memory{bound}"
    cpu = limits.get("cpu")
    if cpu is not None and (number == _XCPU or (number == _KILL and cpu_seconds >= cpu + CPU_GRACE - _SLACK)):
        return f"limits.cpu {cpu}s"
    if number == _XFSZ and "file_size" in limits:
        return f"limits.file_size {limits['file_size']}"
    if number in _OUT_OF_MEMORY and "memory" in limits:
        return f"signal {number} not sent by apsis; limits.memory {limits['memory']} may be too little"
    return ""
