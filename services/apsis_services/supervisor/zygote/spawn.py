"""Starting the program itself: its own session, a clean slate of signals and descriptors, and errors told apart.

By posix_spawn where the program runs as we do, which copies no memory; by fork and exec where it is to
become another user, with a pipe that closes on exec and else says which step failed.
"""

# The zygote does not load pathlib.
# ruff: noqa: PTH113, PTH116

import errno
import grp
import os
import pwd
import signal
import stat
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, NoReturn

from apsis_services.supervisor.zygote.request import StartRequest

_DEFAULT_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_ALL_SIGNALS: Final = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
_FAILED: Final = 127


class SpawnError(Exception):
    """The program could not be started; the text says which step failed, and what can be done."""


class Account(NamedTuple):
    """Whom the program is to become."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def find_account(user: str | None, group: str | None) -> Account | None:
    """Return whom the program is to become; None: who we are already.

    Raises:
        SpawnError: there is no such user or group.
    """
    uid, gid, groups = os.geteuid(), os.getegid(), set(os.getgroups())
    if user:
        try:
            entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
        except KeyError:
            raise SpawnError(f"there is no user {user!r} on this host") from None
        uid, gid = entry.pw_uid, entry.pw_gid
        groups = set(os.getgrouplist(entry.pw_name, gid))
    if group:
        try:
            gid = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
        except KeyError:
            raise SpawnError(f"there is no group {group!r} on this host") from None
        groups.add(gid)
    if (uid, gid) == (os.geteuid(), os.getegid()) and groups <= set(os.getgroups()) | {gid}:
        return None
    return Account(uid, gid, tuple(sorted(groups)))


def find_program(name: str, path: str) -> str:
    """Return the file to execute: `name` itself if it has a slash, else the first that PATH leads to.

    Raises:
        SpawnError: there is none, or none that may be executed.
    """
    if not name:
        raise SpawnError("no program is given: argv[0] is empty")
    if "/" in name:
        return name
    present = ""
    for folder in path.split(":"):
        candidate = f"{folder or '.'}/{name}"
        if os.path.isfile(candidate):
            if os.access(candidate, os.X_OK):
                return candidate
            present = present or candidate
    if present:
        return present
    raise SpawnError(f"program {name!r} was not found in PATH ({path}); give its full path, or set PATH in the job")


def explain(program: str, error: OSError) -> str:
    """Return why a program could not be executed, from the error and from what lies there."""
    match error.errno:
        case errno.ENOENT:
            if not os.path.lexists(program):
                return f"program {program!r} does not exist"
            return _missing_interpreter(program)
        case errno.ENOTDIR:
            return f"program {program!r} does not exist: a part of its path is not a folder"
        case errno.EACCES:
            return _no_access(program)
        case errno.ENOEXEC:
            return f"{program!r} is no program for this machine, and a script must begin with a line like #!/bin/sh"
        case errno.E2BIG:
            return "the arguments and the environment are too long for the system: one may have 128 KiB"
        case errno.ETXTBSY:
            return f"program {program!r} is just being written by somebody"
        case errno.EAGAIN | errno.ENOMEM:
            return f"the system has no room for one more process: {error.strerror}"
        case _:
            return f"program {program!r} cannot be executed: {error.strerror}"


def _missing_interpreter(program: str) -> str:
    try:
        fd = os.open(program, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return f"program {program!r} cannot be executed: {error.strerror}"
    try:
        head = os.read(fd, 256)
    finally:
        os.close(fd)
    if head.startswith(b"#!"):
        interpreter = os.fsdecode(head[2:].split(b"\n")[0].strip(b" \t").split(b" ")[0])
        hint = " (it has Windows line ends)" if interpreter.endswith("\r") else ""
        return f"script {program!r} needs the interpreter {interpreter!r}, which does not exist{hint}"
    return f"program {program!r} needs a loader or library that does not exist here"


def _no_access(program: str) -> str:
    try:
        mode = os.stat(program).st_mode
    except OSError as error:
        return f"program {program!r} cannot be reached: {error.strerror}"
    if stat.S_ISDIR(mode):
        return f"{program!r} is a folder, not a program"
    if not mode & 0o111:
        return f"program {program!r} is not executable (mode {mode & 0o7777:04o}): chmod +x it"
    return f"program {program!r} may not be executed by us: permission denied"


def enter_folder(folder: str) -> None:
    """Change to the program's working folder.

    Raises:
        SpawnError: it is not there, or may not be entered.
    """
    try:
        os.chdir(folder)
    except FileNotFoundError:
        raise SpawnError(f"working directory {folder!r} does not exist") from None
    except NotADirectoryError:
        raise SpawnError(f"working directory {folder!r} is not a directory") from None
    except OSError as error:
        raise SpawnError(f"working directory {folder!r} cannot be entered: {error.strerror}") from None


def spawn(request: StartRequest, outputs: Sequence[int], orphaned: Callable[[str], None]) -> int:
    """Start the program and return its pid. `outputs` are the descriptors for its stdout and stderr.

    `orphaned` is called in the child when a step fails and its parent is not there any more to be told.

    Raises:
        SpawnError: it could not be started.
    """
    if not request.argv:
        raise SpawnError("no program is given: argv is empty")
    try:
        account = find_account(request.user, request.group)
        os.umask(request.umask)
        if account is None:
            return _spawn_as_we_are(request, outputs)
        return _spawn_as(account, request, outputs, orphaned)
    except ValueError as error:  # a NUL byte, or an `=` in a variable's name
        raise SpawnError(f"argv or environment cannot be given to a program: {error}") from None


def _spawn_as_we_are(request: StartRequest, outputs: Sequence[int]) -> int:
    enter_folder(request.cwd or "/")
    program = find_program(request.argv[0], request.env.get("PATH", _DEFAULT_PATH))
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, outputs[0], 1),
        (os.POSIX_SPAWN_DUP2, outputs[-1], 2),
    ]
    try:
        return os.posix_spawn(
            program,
            request.argv,
            request.env,
            file_actions=actions,
            setsid=True,
            setsigmask=[],
            setsigdef=_ALL_SIGNALS,
        )
    except OSError as error:
        raise SpawnError(explain(program, error)) from None
    finally:
        os.chdir("/")  # the folder of a long run is not kept busy by its shim


def _spawn_as(account: Account, request: StartRequest, outputs: Sequence[int], orphaned: Callable[[str], None]) -> int:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        raise SpawnError(explain(request.argv[0], error)) from None
    if pid == 0:
        _become_program(account, request, outputs, writing, orphaned)
    os.close(writing)
    parts = []
    while part := os.read(reading, 65536):
        parts.append(part)
    os.close(reading)
    if parts:
        os.waitpid(pid, 0)
        raise SpawnError(b"".join(parts).decode(errors="replace"))
    return pid


def _become_program(
    account: Account, request: StartRequest, outputs: Sequence[int], report: int, orphaned: Callable[[str], None]
) -> NoReturn:
    """Do the steps in their order, and become the program; or report the step that failed, and end."""
    try:
        os.setsid()
        _become(account, request)
        enter_folder(request.cwd or "/")
        program = find_program(request.argv[0], request.env.get("PATH", _DEFAULT_PATH))
        nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        for target, source in ((0, nothing), (1, outputs[0]), (2, outputs[-1])):
            os.dup2(source, target)
        for number in _ALL_SIGNALS:
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        try:
            os.execve(program, request.argv, request.env)  # noqa: S606 - starting programs is what Apsis is for
        except OSError as error:
            raise SpawnError(explain(program, error)) from None
    except (SpawnError, OSError, ValueError) as error:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        try:
            os.write(report, str(error).encode(errors="replace"))
        except BrokenPipeError:
            orphaned(str(error))
    finally:
        os._exit(_FAILED)


def _become(account: Account, request: StartRequest) -> None:
    uid, gid, groups = account
    whom = f"user {request.user!r}" if request.user else f"group {request.group!r}"
    try:
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except PermissionError:
        raise SpawnError(f"cannot become {whom}: only root may, and Apsis does not run as root here") from None
