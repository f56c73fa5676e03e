"""Having programs started: a command becomes a request with its whole environment, and goes to the zygote."""

import asyncio
import functools
import os
import pwd
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from apsis.home import Home
from apsis.messages.dispatch import Process, Start
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.starting.env_file import read_env_file
from apsis_services.supervisor.starting.environment import TooLarge, check_sizes, child_environment, user_entry
from apsis_services.supervisor.starting.hostfiles import UnusableFile
from apsis_services.supervisor.starting.secret_files import Secrets
from apsis_services.supervisor.zygote.client import ZygoteClient, ZygoteError
from apsis_services.supervisor.zygote.identity import Identity, read_stat
from apsis_services.supervisor.zygote.records import StopFacts, TimeoutFacts
from apsis_services.supervisor.zygote.request import StartRequest, settle
from apsis_services.supervisor.zygote.stamps import stamp_now

#: seconds for which a user's entry is taken as it was
_REMEMBER: Final = 60
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class HearsStarts(Protocol):
    """Who is told how starts went."""

    def start_claimed(self, key: Key) -> None:
        """The journal is in place."""

    def start_exists(self, key: Key) -> None:
        """There is a journal already, or an archived one."""

    def start_failed(self, key: Key, reason: str) -> None:
        """Nothing was claimed."""


class Starter:
    """Hands starts to the zygote. What was handed over goes on when the supervisor ends."""

    def __init__(
        self,
        home: Home,
        spool: Path,
        epoch: str,
        boot: str,
        zygote: ZygoteClient,
        hears: HearsStarts,
        *,
        secrets: Mapping[str, str] = _NOTHING,
    ) -> None:
        """`secrets` names the files of secrets that do not lie in the home's `keys/secrets`."""
        self._spool = spool
        self._epoch = epoch
        self._boot = boot
        self._zygote = zygote
        self._hears = hears
        self._ours = {**os.environ, "APSIS_HOME": str(home.root)}
        self._secrets = Secrets(home, secrets)
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, key: Key, start: Start) -> None:
        """Start a run's program; how it went is told to `hears`."""
        task = asyncio.get_running_loop().create_task(self._begin(key, start))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def settle(self, key: Key, start: Start, reason: str) -> None:
        """Write the journal of a run that cannot be started; `hears` is told that it exists."""
        request = make_request(key, start, self._epoch, self._ours)
        us = read_stat(os.getpid())
        assert us is not None
        who = Identity(us.pid, us.ticks)
        try:
            settle(self._spool, request, reason, who=who, boot=self._boot, at=stamp_now())
        except OSError as error:
            self._hears.start_failed(key, f"{reason}; and that cannot be written: {error.strerror}")
        else:
            self._hears.start_exists(key)

    async def close(self) -> None:
        """Let go of the zygote; it goes on with what it was given."""
        for task in self._tasks:
            task.cancel()
        await self._zygote.close()

    async def _begin(self, key: Key, start: Start) -> None:
        from_file = secrets = _NOTHING
        try:
            if start.process.env_file is not None or start.process.secrets:
                # a file may lie on a disk that does not answer: nobody else waits for it
                from_file, secrets = await asyncio.to_thread(self._read_files, start.process)
            request = make_request(key, start, self._epoch, self._ours, from_file=from_file, secrets=secrets)
            check_sizes(start.args, request.argv, request.env)
        except (TooLarge, UnusableFile) as error:
            self.settle(key, start, f"{error.message}; {error.hint}" if error.hint else error.message)
            return
        try:
            outcome = await self._zygote.start(request)
        except (ZygoteError, OSError) as error:
            self._hears.start_failed(key, str(error))
            return
        if outcome == "claimed":
            self._hears.start_claimed(key)
        else:
            self._hears.start_exists(key)

    def _read_files(self, process: Process) -> tuple[dict[str, str], dict[str, str]]:
        """Return the variables of `env_file`, and the secrets. They go into the request, and nowhere else."""
        from_file = {} if process.env_file is None else read_env_file(process.env_file)
        return from_file, self._secrets.resolve(process.secrets)


def make_request(
    key: Key,
    start: Start,
    epoch: str,
    ours: Mapping[str, str],
    *,
    from_file: Mapping[str, str] = _NOTHING,
    secrets: Mapping[str, str] = _NOTHING,
) -> StartRequest:
    """Return what the zygote is asked for."""
    process = start.process
    timeout = process.timeout
    user = _user(process.user, int(time.monotonic()) // _REMEMBER)
    return StartRequest(
        journal=key.journal,
        run_id=key.run_id,
        dispatch=start.dispatch,
        job_id=start.job_id,
        schedule_time=start.schedule_time,
        args=start.args,
        args_hash=start.args_hash,
        argv=process.argv,
        env=child_environment(start, epoch, key.journal, ours, user, from_file=from_file, secrets=secrets),
        stop=StopFacts(signal=process.stop.signal, grace=process.stop.grace),
        cwd=process.cwd,
        user=process.user,
        group=process.group,
        streams=process.streams,
        timeout=None if timeout is None else TimeoutFacts(duration=timeout.duration, signal=timeout.signal),
        leftovers=process.leftovers,
        umask=process.umask,
        memo=start.memo,
        max_bytes=process.max_bytes,
        keep=None if process.keep is None else msgspec.to_builtins(process.keep),
        stdin=process.stdin,
        stdin_file=process.stdin_file,
        nice=process.nice,
        limits=_limits(process),
        cgroup=None if process.cgroup is None else msgspec.structs.asdict(process.cgroup),
    )


def _limits(process: Process) -> dict[str, int] | None:
    if process.limits is None:
        return None
    return {name: value for name, value in msgspec.structs.asdict(process.limits).items() if value is not None}


@functools.lru_cache(maxsize=64)
def _user(name: str | None, _minute: int) -> pwd.struct_passwd | None:
    return user_entry(name)
