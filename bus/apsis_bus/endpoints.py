"""Endpoints: where the sockets of a hub lie, and how a path that is too long is reached all the same."""

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from apsis.errors import ConfigError
from apsis.home import Home
from apsis_bus.limits import MAX_IPC_PATH

#: ROUTER: what must arrive
CONTROL: Final = "hub.ctl"
#: XPUB: fan-out
FANOUT: Final = "hub.pub"
#: ROUTER: output bytes
BULK: Final = "hub.bulk"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The ipc addresses of one home; keep it open for as long as a socket may reconnect."""

    folder: Path
    _fd: int | None

    @classmethod
    def of(cls, home: Home) -> Self:
        """Return the endpoints of a home; its owner makes the `run` folder by this if need be.

        A unix socket's path may have 107 bytes. Of a longer one the folder is opened, and the socket is
        named through `/proc/self/fd`, which the kernel follows to any depth.

        Raises:
            ConfigError: there is no `run` folder, and this user is not the one to make it.
        """
        if not home.run.is_dir():
            # the folder's owner is who may speak as a service: it must not be whoever came first
            if not home.root.is_dir() or home.root.stat().st_uid != os.geteuid():
                raise ConfigError(f"nothing was ever started in {home.root}", hint="`apsisctl start` starts Apsis")
            home.run.mkdir(mode=0o750, exist_ok=True)
        longest = os.fsencode(home.run / BULK)
        if len(longest) <= MAX_IPC_PATH:
            return cls(home.run, None)
        return cls(home.run, os.open(home.run, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))

    def address(self, name: str) -> str:
        """Return the address of a socket, for bind and for connect."""
        folder = str(self.folder) if self._fd is None else f"/proc/self/fd/{self._fd}"
        return f"ipc://{folder}/{name}"

    def path(self, name: str) -> Path:
        """Return the file of a socket."""
        return self.folder / name

    def close(self) -> None:
        """Let go of the folder."""
        if self._fd is not None:
            os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
