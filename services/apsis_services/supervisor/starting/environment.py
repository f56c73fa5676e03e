"""The environment that a program gets, whole: a clean base, what names the run, and what its job sets."""

import os
import pwd
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from apsis.errors import ApsisError
from apsis.messages.dispatch import Start
from apsis.programs.variables import arg_variable

#: bytes of all args, names and values
MAX_ARGS: Final = 64 * 1024
#: bytes of argv and environment, as the kernel counts them: each string with its end
MAX_TOTAL: Final = 512 * 1024
#: bytes of one argument or one variable: the kernel's own limit, its terminating zero included
MAX_ONE: Final = 128 * 1024

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FROM_OURS: Final = ("APSIS_HOME", "LANG", "LC_ALL", "TZ")
#: they speak of the supervisor, its manager and systemd, and would mislead any other program
_OURS_ALONE: Final = frozenset({
    "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "MAINPID",
    "INVOCATION_ID", "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY", "SYSTEMD_EXEC_PID",
})  # fmt: skip
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class TooLarge(ApsisError):
    """The args, the command line or the environment of a run are more than a program can be given."""

    code = "too_large"

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(
            f"{what}: {size} bytes, at most {limit} can be given to a program",
            hint="Write it to a file and pass the file's name.",
        )


def user_entry(name: str | None) -> pwd.struct_passwd | None:
    """Return the passwd entry of a user (a name or a number), or of ourselves; None: there is none.

    A missing user is told by the step that would change to it, not here.
    """
    try:
        if name is None:
            return pwd.getpwuid(os.getuid())
        return pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        return None


def inherited(ours: Mapping[str, str], wanted: bool | list[str]) -> dict[str, str]:
    """Return what a program inherits of our environment: all but what speaks of us, or the names that are wanted."""
    if wanted is False:
        return {}
    names = ours if wanted is True else [name for name in wanted if name in ours]
    return {name: ours[name] for name in names if name not in _OURS_ALONE and not name.startswith("APSIS_")}


def child_environment(
    start: Start,
    epoch: str,
    journal: int,
    ours: Mapping[str, str],
    user: pwd.struct_passwd | None,
    *,
    from_file: Mapping[str, str] = _NOTHING,
    secrets: Mapping[str, str] = _NOTHING,
) -> dict[str, str]:
    """Return a program's full environment; `ours` is the supervisor's, of which little is passed on unasked.

    Later ones win: the base, what is inherited, who the user is, `from_file` (of `env_file`), `env`, `secrets`,
    and last what names the run: its id, the spool's `epoch`, and the `journal` (the database's number), since a
    restored database may give an id again.
    """
    environment = {"PATH": ours.get("PATH") or DEFAULT_PATH}
    environment |= {name: ours[name] for name in _FROM_OURS if name in ours}
    environment.setdefault("LANG", "C.UTF-8")
    environment |= inherited(ours, start.process.inherit_env)
    if user is not None:
        environment |= {
            "HOME": user.pw_dir,
            "USER": user.pw_name,
            "LOGNAME": user.pw_name,
            "SHELL": user.pw_shell or "/bin/sh",
        }
    environment |= from_file
    for name, value in start.process.env.items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    environment |= secrets
    # The tag comes last: a job that unset or changed it could not be found again.
    environment |= {arg_variable(name): value for name, value in start.args.items()}
    environment |= {
        "APSIS_RUN_ID": start.run_id,
        "APSIS_JOB_ID": start.job_id,
        "APSIS_SCHEDULE_TIME": start.schedule_time or "",
        "APSIS_SPOOL": epoch,
        "APSIS_JOURNAL": str(journal),
    }
    return environment


def check_sizes(args: Mapping[str, str], argv: list[str], environment: Mapping[str, str]) -> None:
    """Refuse what the kernel or we would not carry.

    Raises:
        TooLarge: and which part it is.
    """
    size = sum(_bytes(name) + _bytes(value) for name, value in args.items())
    if size > MAX_ARGS:
        raise TooLarge("the run's args", size, MAX_ARGS)
    total = 0
    for number, argument in enumerate(argv):
        length = _bytes(argument) + 1
        if length > MAX_ONE:
            raise TooLarge(f"argument {number} of the command", length, MAX_ONE)
        total += length
    for name, value in environment.items():
        length = _bytes(name) + _bytes(value) + 2
        if length > MAX_ONE:
            raise TooLarge(f"the environment variable {name}", length, MAX_ONE)
        total += length
    if total > MAX_TOTAL:
        raise TooLarge("command line and environment", total, MAX_TOTAL)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogateescape"))
