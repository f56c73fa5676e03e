"""Programs of ours as processes of their own: what a job binds is run as a supervisor would run it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from apsis import extensions
from apsis.jobs.bind import expand
from apsis.jobs.parse import parse_job
from apsis.programs.process import ProcessProgram

sys.path.insert(0, str(Path(__file__).parent))


@dataclass(frozen=True)
class Ran:
    """How a program ended, and what it printed."""

    code: int
    out: str
    err: str


class Stage:
    """A folder with modules of a user's, which is where programs run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def module(self, name: str, text: str) -> None:
        """Write a module that can be imported from the working directory."""
        (self.folder / f"{name}.py").write_text(text)

    def argv(self, program: dict[str, Any]) -> list[str]:
        """Return the words that a run of a job with this program is started by."""
        bound = expand(parse_job("some/job", {"program": program}), "r7", {}, None).program
        assert isinstance(bound, ProcessProgram)
        return list(bound.argv)

    def environment(self, **more: str) -> dict[str, str]:
        """Return what a run finds in its environment."""
        about = {"APSIS_RUN_ID": "r7", "APSIS_JOB_ID": "some/job", "APSIS_SCHEDULE_TIME": "2026-06-30T10:00:00+00:00"}
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "APSIS_ARG_REGION": "north", **about, **more}

    def run(self, program: dict[str, Any], **environment: str) -> Ran:
        """Run a program to its end."""
        done = subprocess.run(
            self.argv(program), cwd=self.folder, env=self.environment(**environment), capture_output=True, timeout=60
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, program: dict[str, Any]) -> "subprocess.Popen[bytes]":
        """Start a program in a process group of its own, its output in the file `output`."""
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                self.argv(program), cwd=self.folder, env=self.environment(), start_new_session=True,
                stdout=output, stderr=output,
            )  # fmt: skip

    @property
    def output(self) -> str:
        """What a program that was started has printed."""
        return (self.folder / "output").read_text()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    # as a service does: the classes of these tests are imported by the programs alone
    extensions.configure({}, imports=False)
    yield Stage(tmp_path)
    extensions.configure({})
