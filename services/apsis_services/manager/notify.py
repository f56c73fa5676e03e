"""Telling systemd how it goes: the notify protocol, one datagram a word (sd_notify(3))."""

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Says READY, STOPPING and WATCHDOG to whoever started us, if they want to hear it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        micros = environ.get("WATCHDOG_USEC", "")
        is_ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        #: seconds between two signs of life, half of what is allowed; None: nobody waits for them
        self.every: float | None = int(micros) / 2e6 if self._address and micros.isdecimal() and is_ours else None

    def say(self, *words: str) -> None:
        """Send words such as `READY=1`.

        Raises:
            OSError: the socket that was named does not take them.
        """
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto("\n".join(words).encode(), self._address)
