"""Why a program could not be started: the one error for it, and what the kernel's errors mean for a program."""

# The zygote does not load pathlib.
# ruff: noqa: PTH113, PTH116

import errno
import os
import stat


class SpawnError(Exception):
    """The program could not be started; the text says which step failed, and what can be done."""


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
