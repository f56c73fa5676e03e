"""Tests that mount: root does so, and an ordinary user where the kernel gives it a namespace of its own."""

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

#: set within such a namespace: here one may mount
_MAY = "HARNESS_MAY_MOUNT"
#: becomes nobody else and gets no right but to mount: what the test starts is an ordinary user's in all else
_WITHIN = (
    "unshare", "--user", "--map-current-user", "--mount", "--keep-caps",
    "setpriv", "--inh-caps=-all,+sys_admin", "--ambient-caps=-all,+sys_admin",
)  # fmt: skip
#: seconds; more than any such test may take
_LONGEST = 300
_WHY = "only root can mount a disk, and an ordinary user only where the kernel gives it a user namespace"


def mounts(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that mounts; an ordinary user runs it by a pytest of its own, in a namespace of its own.

    This must be the outermost mark. Where neither is possible the test is skipped, and says so.
    """
    if os.geteuid() == 0 or _MAY in os.environ:
        return test
    if not _has_namespaces():
        skipped: Callable[..., None] = pytest.mark.skip(reason=_WHY)(test)
        return skipped

    def within(request: pytest.FixtureRequest, tmp_path: Path) -> None:
        _run_within(request.node.nodeid, request.config.rootpath, tmp_path)

    within.__name__, within.__doc__ = test.__name__, test.__doc__
    # its own deadline holds within, where all that it started is ended when it passes
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name != "timeout"]
    setattr(within, "pytestmark", [*marks, pytest.mark.timeout(_LONGEST).mark])  # noqa: B010 - as pytest keeps them
    return within


@functools.cache
def _has_namespaces() -> bool:
    try:
        tried = subprocess.run([*_WITHIN, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return tried.returncode == 0


def _run_within(test: str, root: Path, folder: Path) -> None:
    environment: dict[str, Any] = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    command = [*_WITHIN, sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"--basetemp={folder / 'within'}", test],
        cwd=root,
        env={**environment, _MAY: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    # exactly one: nothing was left out
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), f"{done.stdout}\n{done.stderr}"
