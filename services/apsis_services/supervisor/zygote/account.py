"""Whom a program is to become: its user, its group, its further groups."""

import grp
import os
import pwd
from collections.abc import Iterable
from typing import NamedTuple

from apsis_services.supervisor.zygote.failure import SpawnError


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
    if not user and not group:
        return None
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


def become(account: Account, user: str | None, group: str | None, outputs: Iterable[int] = ()) -> None:
    """Become somebody else for good; the output files become theirs too, for who opens /dev/stdout needs that.

    Raises:
        SpawnError: we may not.
    """
    uid, gid, groups = account
    whom = f"user {user!r}" if user else f"group {group!r}"
    try:
        os.setgroups(groups)
        for file in outputs:
            os.fchown(file, uid, gid)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except PermissionError:
        raise SpawnError(f"cannot become {whom}: only root may, and Apsis does not run as root here") from None
    except OSError as error:
        raise SpawnError(f"cannot become {whom}: {error.strerror}") from None
