"""The base class of programs that users bring, what they are told of their run, and how they say that it has ended."""

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

#: the status by which a program of ours says that nothing was carried out: its run ends in error, not in failure
NOT_CARRIED_OUT: Final = 125


@dataclass(frozen=True, slots=True)
class Result:
    """How a program has ended. `code` is its exit status; None: 0 for success, 1 for failure."""

    success: bool = True
    #: what is printed on stderr, as its last line
    message: str = ""
    code: int | None = None


#: what ends a program: a Result, true (success), false (failure) or an exit status
Ended = Result | bool | int


class ThisRun:
    """The run that a program is the program of, as its environment says."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(os.environ if environment is None else environment)

    @property
    def run_id(self) -> str:
        """The id of the run: `r123`."""
        return self._environment.get("APSIS_RUN_ID", "")

    @property
    def job_id(self) -> str:
        """The id of its job."""
        return self._environment.get("APSIS_JOB_ID", "")

    @property
    def schedule_time(self) -> datetime | None:
        """When it was due, with its zone; None: it was made by hand, without a time."""
        text = self._environment.get("APSIS_SCHEDULE_TIME", "")
        return datetime.fromisoformat(text) if text else None

    def arg(self, name: str, default: str | None = None) -> str | None:
        """Return the arg of a param, in any case of letters."""
        # the variable's name is made as `apsis.programs.variables` makes it, which needs more than a runner loads
        upper = "".join(each if each.isascii() and (each.isalnum() or each == "_") else "_" for each in name.upper())
        return self._environment.get(f"APSIS_ARG_{upper}", default)


class Program(ABC):
    """A program of your own.

    A job names the class by its dotted path, its short name or its entry point. The keys that every program has
    (`host`, `user`, `env`, `timeout`, `stop`, ...) are Apsis's; its other keys, the templates in their texts
    expanded, are the keyword arguments of `__init__`, or are given as one mapping to `from_jso`, a class method,
    where the class has it.

        class Copy(apsis.Program):
            def __init__(self, source: str, target: str) -> None:
                self.source, self.target = source, target

            def start(self, run):
                shutil.copy(self.source, self.target)
                return True

    Each run is a process of its own, which is not ended when Apsis is: what the class prints is the run's output,
    what it raises ends the run in failure, with the traceback in the output. A class that cannot be imported or
    made, or returns what is none of the things named here, ends its run in error.

    What takes long, and goes on elsewhere (a query, a job on a cluster), is followed: `start` returns a mapping that
    says how to find it again, and `update` is called until it returns how it ended. A class with `attach` of its own
    survives the death of its process too (`kill -9`, out of memory): another one takes what `start` or `update`
    returned last and goes on.
    """

    #: seconds between two calls of `update`
    poll_interval: ClassVar[float] = 1.0

    @abstractmethod
    def start(self, run: ThisRun) -> Ended | dict[str, Any] | None:
        """Do it, and return how it ended (None: well); or begin it, and return a mapping by which it is found again.

        The mapping must be one that JSON has, of 64 KiB at most.
        """

    def attach(self, run: ThisRun, state: dict[str, Any]) -> None:
        """Find again what another process of this run had begun; `state` is what that one returned last."""
        raise RuntimeError(f"{type(self).__name__} has no attach: what it began cannot be found again")

    def update(self, run: ThisRun) -> Ended | dict[str, Any] | None:
        """Look how it is: None while it goes on, a mapping that replaces the last one, or how it ended."""
        raise RuntimeError(f"{type(self).__name__}.start returned a mapping, but the class has no update")

    def stop(self, run: ThisRun, signum: int) -> None:
        """End what was begun: the run is to be stopped, by this signal. `update` goes on until it says how it ended.

        Called after `start` has returned. A class without it is ended by the signal itself. After the grace period
        the process is killed.
        """
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)
