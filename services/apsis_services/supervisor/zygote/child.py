"""What is done in a fork of the shim before it becomes the program, where posix_spawn does not offer enough.

The order is: session, control group, limits, niceness, mask, groups and user, folder, standard input and output,
signals, exec. What needs root comes before the user; what belongs to the user (folder, input, program) after it.
A session of its own comes first: by it the child is known for the run's, should its shim die now. A step that
fails is told over a pipe that closes on exec.
"""

import errno
import os
import signal
from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn

from apsis_services.supervisor.zygote import cgroup
from apsis_services.supervisor.zygote.account import Account, become
from apsis_services.supervisor.zygote.failure import SpawnError, explain, find_program
from apsis_services.supervisor.zygote.folder import enter_folder
from apsis_services.supervisor.zygote.request import StartRequest
from apsis_services.supervisor.zygote.rlimits import set_limits
from apsis_services.supervisor.zygote.standard_input import open_file

DEFAULT_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
ALL_SIGNALS: Final = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
_FAILED: Final = 127


class Setup(NamedTuple):
    """What is prepared before the fork; None: not asked for."""

    account: Account | None
    #: path of the run's control group
    group: str | None
    #: descriptor of standard input; a file is opened by the child, as whom it has become
    stdin: int | None
    #: descriptors of stdout and stderr
    outputs: tuple[int, int]


def fork_program(request: StartRequest, setup: Setup, orphaned: Callable[[str], None]) -> int:
    """Fork, set up, exec; return the program's pid.

    `orphaned` is called in the child when a step fails and its parent is not there any more to be told.

    Raises:
        SpawnError: a step failed.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        raise SpawnError(explain(request.argv[0], error)) from None
    if pid == 0:
        _become_program(request, setup, writing, orphaned)
    os.close(writing)
    parts = []
    while part := os.read(reading, 65536):
        parts.append(part)
    os.close(reading)
    if parts:
        os.waitpid(pid, 0)
        raise SpawnError(b"".join(parts).decode(errors="replace"))
    return pid


def _become_program(request: StartRequest, setup: Setup, report: int, orphaned: Callable[[str], None]) -> NoReturn:
    """Do the steps in their order, and become the program; or report the step that failed, and end."""
    reason = ""
    try:
        os.setsid()
        _take_place(request, setup)
        _take_descriptors(request, setup)
        _clear_signals()
        _execute(request)
    except MemoryError:
        reason = f"limits.memory {(request.limits or {}).get('memory', 0)} is less than it takes to start a program"
    except ValueError as error:  # a NUL byte, or an `=` in a variable's name
        reason = f"argv or environment cannot be given to a program: {error}"
    except (SpawnError, OSError) as error:
        reason = str(error)
    finally:
        try:
            _tell(report, reason or "the program could not be started", orphaned)
        finally:
            os._exit(_FAILED)


def _tell(report: int, reason: str, orphaned: Callable[[str], None]) -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        os.write(report, reason.encode(errors="replace"))
    except BrokenPipeError:
        orphaned(reason)


def _take_place(request: StartRequest, setup: Setup) -> None:
    if setup.group is not None:
        cgroup.enter(setup.group)
    if request.limits:
        set_limits(request.limits)
    if request.nice is not None:
        _set_niceness(request.nice)
    os.umask(request.umask)
    if setup.account is not None:
        become(setup.account, request.user, request.group, setup.outputs)
    enter_folder(request.cwd or "/")


def _set_niceness(by: int) -> None:
    try:
        os.nice(by)
    except PermissionError:
        raise SpawnError(f"nice {by}: only root may put a program before others") from None
    except OSError as error:
        raise SpawnError(f"nice {by} cannot be set: {error.strerror}") from None


def _take_descriptors(request: StartRequest, setup: Setup) -> None:
    """Take 0, 1 and 2; all else closes on exec."""
    if setup.stdin is not None:
        stdin = setup.stdin
    elif request.stdin_file is not None:
        stdin = open_file(request.stdin_file)
    else:
        stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    for target, source in ((0, stdin), (1, setup.outputs[0]), (2, setup.outputs[1])):
        os.dup2(source, target)


def _clear_signals() -> None:
    for number in ALL_SIGNALS:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _execute(request: StartRequest) -> NoReturn:
    program = find_program(request.argv[0], request.env.get("PATH", DEFAULT_PATH))
    try:
        os.execve(program, request.argv, request.env)  # noqa: S606 - starting programs is what Apsis is for
    except OSError as error:
        limits = request.limits or {}
        if error.errno == errno.EAGAIN and "processes" in limits:
            raise SpawnError(f"limits.processes {limits['processes']}: the user has as many already") from None
        if error.errno == errno.ENOMEM and "memory" in limits:
            raise SpawnError(f"limits.memory {limits['memory']} is less than {program!r} needs to begin") from None
        raise SpawnError(explain(program, error)) from None
