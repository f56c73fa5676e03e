"""The edge of a service's process: arguments, log, lock, title, signals, exit codes. Needs no ZeroMQ and no asyncio."""

import argparse
import ctypes
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from types import FrameType
from typing import Final

from apsis.errors import ApsisError, ConfigError
from apsis.home import Home
from apsis.times import format_time

#: seconds between being told to end and being gone, whatever hangs
END_WITHIN: Final = 5.0
#: of glibc's malloc.h
_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3


class ExitCode(IntEnum):
    """What a service's exit status says to the manager."""

    ASKED = 0
    CRASHED = 1
    CANNOT_START = 3
    ALREADY_RUNNING = 75


@dataclass(frozen=True, slots=True)
class Arguments:
    """What every service is started with."""

    home: Home
    host: str


def parse_arguments(name: str, argv: Sequence[str] | None) -> Arguments:
    """Read `--home` and `--host`.

    Raises:
        ConfigError: the home does not exist.
    """
    parser = argparse.ArgumentParser(prog=f"apsis {name}", description=f"The {name} service of Apsis.")
    parser.add_argument("--home", help="folder of the installation; default: $APSIS_HOME, else ~/.apsis")
    parser.add_argument("--host", default="local", help="name of this host (supervisors)")
    options = parser.parse_args(argv)
    home = Home.find(options.home)
    if not home.root.is_dir():
        raise ConfigError(f"there is no home at {home.root}", hint="make one with `apsisctl init`")
    return Arguments(home, options.host)


class _LineFormat(logging.Formatter):
    """One line a record: time, level, service, sentence, then event name and fields."""

    _standard: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback follows on lines of its own, indented."""
        # milliseconds: six digits tell a reader of logs nothing
        at = format_time(datetime.fromtimestamp(record.created, UTC))[:-4] + "Z"
        fields = [f"{key}={_plain(value)}" for key, value in vars(record).items() if key not in self._standard]
        sentence = record.getMessage().replace("\n", "\\n")
        line = " ".join([f"{at} {record.levelname} {self._service}: {sentence}", *fields])
        if record.exc_info and record.exc_info[0] is not None:
            line += "\n    " + self.formatException(record.exc_info).replace("\n", "\n    ")
        return line


def _plain(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(c.isspace() or c in "\"'=" for c in text) else text


def log_to_stderr(service: str, level: str = "info") -> None:
    """Send the log of this process to stderr, which whoever started it appends to a file."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormat(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def say(name: str, error: ApsisError) -> None:
    """Write the one line about why a service does not run."""
    place = f"{error.loc}: " if error.loc else ""
    hint = f"; {error.hint}" if error.hint else ""
    logging.getLogger(name).error("%s%s%s", place, error.message, hint, extra={"event": "cannot_start"})


def take_title(name: str) -> None:
    """Show as `apsis NAME` in ps and top."""
    import setproctitle

    setproctitle.setproctitle(f"apsis {name}")


def open_many_files() -> None:
    """Take as many descriptors as the kernel gives: each connection is one, and the usual 1,024 are soon gone."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def keep_freed_blocks() -> None:
    """Have libc keep some freed memory, for whoever carries frames of output: they come and go by the thousand.

    By default each is mapped and given back by itself, and the kernel clears 64 pages a frame: that was a third
    of all CPU of a gigabyte on its way. At most 16 MiB are kept. Another libc than glibc is left alone.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for parameter, value in ((_M_MMAP_THRESHOLD, 4), (_M_TRIM_THRESHOLD, 16), (_M_TOP_PAD, 4)):
            libc.mallopt(parameter, value << 20)


def open_files_limit() -> int:
    """Return how many descriptors this process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def forget_inherited_signals() -> None:
    """Hear signals as if nobody had started us: ignored and blocked ones are inherited through exec.

    With SIGCHLD ignored the end of a child cannot be learnt, and no job file would be read.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def survive_broken_pipes() -> None:
    """Make writing to a closed pipe an error instead of a death, here alone.

    A handler and not SIG_IGN: what is ignored stays ignored in every program started from here, and
    then `yes | head` in a job never ends.
    """
    signal.signal(signal.SIGPIPE, _nothing)


def _nothing(_signal: int, _frame: FrameType | None) -> None:
    pass


def end_within(code: ExitCode, seconds: float = END_WITHIN) -> None:
    """End this process with a status after some seconds even if a thread hangs; call it when told to end."""

    def leave() -> None:
        sys.stderr.flush()
        os._exit(code)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()
