"""Who may connect, and under which name: decided from the uid that the kernel vouches for.

libzmq asks a handler (ZAP) about each new connection and appends `:uid:gid:pid` to the address of an ipc
peer. The answer's user id stays with the connection, and the hub reads it again with each message.
"""

import os
import pwd
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from apsis_bus.frames import Role

ZAP_ENDPOINT: Final = "inproc://zeromq.zap.01"
ZAP_DOMAIN: Final = b"apsis"
_ZAP_VERSION: Final = b"1.0"
_ZAP_FRAMES: Final = 6
ROOT: Final = 0

SERVICES: Final = frozenset({"scheduler", "store", "web", "alerts"})
_SUPERVISOR: Final = re.compile(r"supervisor/[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_CLIENT: Final = re.compile(r"client/(0|[1-9][0-9]{0,9})/[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who is at the other end of a unix socket, as the kernel noted it at connect."""

    uid: int
    gid: int
    pid: int

    @classmethod
    def parse(cls, text: str) -> "Credentials | None":
        """Return what stands after the address, `localhost:1000:1000:4711`; None if there is no such thing."""
        parts = text.split(":")[-3:]
        if len(parts) != 3 or not all(part.isdecimal() for part in parts):
            return None
        return cls(*(int(part) for part in parts))

    def __str__(self) -> str:
        return f"{self.uid}:{self.gid}:{self.pid}"


def role_of(name: str, uid: int, owner: int) -> Role | None:
    """Return the role that a name gives to a user, or None if that user may not have that name."""
    is_owner = uid in (owner, ROOT)
    if name in SERVICES or _SUPERVISOR.fullmatch(name):
        if not is_owner:
            return None
        return Role.SCHEDULER if name == "scheduler" else Role.SERVICE
    client = _CLIENT.fullmatch(name)
    if client and (int(client[1]) == uid or is_owner):
        return Role.CLIENT
    return None


@dataclass(slots=True)
class Gate:
    """Decides about connections: the owner of the installation, root, and members of the home's group."""

    owner: int
    group: int
    #: uid: member of the group; a name service may be slow, so each user is looked up once
    _members: dict[int, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> "Gate":
        """Return the gate of the folder that holds the sockets."""
        facts = folder.stat()
        return cls(facts.st_uid, facts.st_gid)

    def admits(self, who: Credentials) -> bool:
        """Say whether a user may connect at all."""
        if who.uid in (self.owner, ROOT) or who.gid == self.group:
            return True
        if who.uid not in self._members:
            self._members[who.uid] = self._is_member(who)
        return self._members[who.uid]

    def _is_member(self, who: Credentials) -> bool:
        try:
            name = pwd.getpwuid(who.uid).pw_name
        except KeyError:
            return False
        return self.group in os.getgrouplist(name, who.gid)

    def answer(self, request: Sequence[bytes]) -> tuple[list[bytes], Credentials | None]:
        """Return the answer to a ZAP request, and who was admitted (None: nobody)."""
        if len(request) < _ZAP_FRAMES or request[0] != _ZAP_VERSION:
            return [_ZAP_VERSION, request[1] if len(request) > 1 else b"", b"500", b"no ZAP request", b"", b""], None
        _version, request_id, domain, address, _identity, mechanism = request[:_ZAP_FRAMES]
        who = Credentials.parse(address.decode(errors="replace"))
        if domain != ZAP_DOMAIN or mechanism != b"NULL" or who is None or not self.admits(who):
            return [_ZAP_VERSION, request_id, b"400", b"not a user of this installation", b"", b""], None
        return [_ZAP_VERSION, request_id, b"200", b"OK", str(who).encode(), b""], who
