"""The edge of the command lines: one place where an error becomes a sentence on stderr and an exit status."""

import errno
import os
import sys
from collections.abc import Sequence
from enum import IntEnum

import click

from apsis.cli.terminal import note
from apsis.errors import ApsisError, BadRequest, ConfigError, Conflict, Denied, NotFound, Unavailable


class ExitCode(IntEnum):
    """What an exit status says; `apsis help exit-codes` prints this."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    ERROR = 3
    SKIPPED = 4
    NOT_FOUND = 5
    REFUSED = 6
    DENIED = 7
    UNREACHABLE = 8
    TIMEOUT = 124
    INTERRUPTED = 130


class TimedOut(ApsisError):
    """The waiting, not the run, has ended."""

    code = "timeout"

    def __init__(self, seconds: float, left: Sequence[str]) -> None:
        super().__init__(
            f"{', '.join(left)} not finished after {seconds:g} s",
            hint=f"It goes on.  To stop it: apsis stop {' '.join(left)}",
        )


_BY_KIND = {
    TimedOut: ExitCode.TIMEOUT,
    BadRequest: ExitCode.USAGE,
    NotFound: ExitCode.NOT_FOUND,
    Conflict: ExitCode.REFUSED,
    Denied: ExitCode.DENIED,
    Unavailable: ExitCode.UNREACHABLE,
    ConfigError: ExitCode.FAILURE,
}


def run(group: click.Group, name: str, argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status; no error gets out but with `--debug`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments[: _first_word(arguments)]
    try:
        status = group.main(arguments, prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        _say_usage(error)
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        note("")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # whoever read us has enough; what the interpreter still wants to flush goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except ApsisError as error:
        if debug:
            raise
        return complain(error)
    except OSError as error:
        if debug or error.errno is None:
            raise
        return complain(_sentence(error))
    return status if isinstance(status, int) else ExitCode.OK


def complain(error: ApsisError) -> int:
    """Write what is wrong and what to do, and return the exit status for it."""
    note(f"Error: {_ended(error.message)}")
    for line in _hint(error).splitlines():
        note(f"  {line}")
    return next((code for kind, code in _BY_KIND.items() if isinstance(error, kind)), ExitCode.FAILURE)


def _hint(error: ApsisError) -> str:
    if isinstance(error, Denied) and error.code == "unauthorized":  # the server's words are for those who write HTTP
        return "Give the token by --token-file FILE or APSIS_TOKEN; on the server, `apsisctl token` prints it"
    return error.hint


def _ended(message: str) -> str:
    return message if message.endswith((".", "!", "?", "\n")) or "\n" in message else f"{message}."


def _say_usage(error: click.UsageError) -> None:
    note(f"Error: {error.format_message()}")
    if error.ctx is not None and "\n" not in error.message:
        note(f"  {error.ctx.get_usage()}")
        note(f"  Help:  {error.ctx.command_path} --help")


def _sentence(error: OSError) -> ApsisError:
    where = f" {error.filename}" if error.filename else ""
    hints = {
        errno.ENOSPC: "the disk is full: make room, then run the same again",
        errno.EDQUOT: "the quota is used up: make room, then run the same again",
        errno.EACCES: "run this as the user who owns the home",
        errno.EROFS: "the file system is mounted read-only",
    }
    hint = hints.get(error.errno or 0, "")
    return ApsisError(f"cannot use{where or ' a file'}: {error.strerror}", hint=hint)


def _first_word(arguments: list[str]) -> int:
    """Return where the command's name stands: what comes after it may be the arguments of someone's program."""
    return next((at for at, word in enumerate(arguments) if not word.startswith("-")), len(arguments))
