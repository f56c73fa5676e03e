"""The process that does what `apsisctl db` is asked: starting it, showing how far it is, taking its answer."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from apsis.cli.ctl.managing import check_home
from apsis.cli.terminal import note
from apsis.errors import ApsisError, Conflict, NotFound
from apsis.home import Home

_KINDS: Final = {kind.code: kind for kind in (Conflict, NotFound)}


def maintain(home: Home, deed: str, file: Path | None = None) -> dict[str, Any]:
    """Have a deed done, and return what it answers.

    Raises:
        ApsisError: it refuses, or ended without an answer.
    """
    check_home(home)
    words = [sys.executable, "-P", "-m", "apsis_services.scheduler.maintenance", "--home", str(home.root), deed]
    if file is not None:
        words += ["--", str(file.expanduser().absolute())]
    shows = sys.stderr.isatty()
    with subprocess.Popen(words, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            if "error" in said:
                error = said["error"]
                raise _KINDS.get(error["code"], ApsisError)(error["message"], hint=error["hint"])
            if "result" in said:
                if shows:
                    note("\r\x1b[K", end="")
                return dict(said["result"])
            if shows:
                note(f"\r  {100 * said['done'] // max(1, said['of'])} %", end="")
    raise ApsisError(f"the process for `{deed}` ended with status {process.returncode} and no answer")


def megabytes(size: int) -> str:
    """Return a size as people read it."""
    return f"{size / 1e6:.1f} MB"


def contents(found: dict[str, Any]) -> str:
    """Return in one line what a database holds."""
    unfinished = f", {found['unfinished']} of them unfinished" if found["unfinished"] else ""
    latest = f", last change {found['latest']}" if found["latest"] else ""
    return f"{megabytes(found['size'])}, schema {found['schema']}, {found['runs']} runs{unfinished}{latest}"
