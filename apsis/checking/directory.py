"""Checking a whole job directory: each job alone, on all processors, then what is between them."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from apsis.checking.facts import Facts
from apsis.checking.links import Fault, check_chains, check_links
from apsis.checking.one_job import Frame, check_job
from apsis.checking.places import Places
from apsis.checking.waits import Waits
from apsis.checking.windows import Windows
from apsis.definitions.finding import ERROR, Finding, Findings
from apsis.jobs.ids import job_id_of
from apsis.jobs.job import Job
from apsis.jobs.load import JobReader, check_calendars, in_order, twice
from apsis.jobs.tree import Tree, look

#: told how many of how many files have been checked
Progress = Callable[[int, int], None]
#: files from which on it pays to share them out
_MANY: Final = 400
_SHARE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a directory holds, and everything found in it, by file, line and column."""

    #: the ids of the jobs that can be used
    jobs: tuple[str, ...]
    findings: list[Finding]

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.severity == ERROR for finding in self.findings)


def check_directory(root: Path, frame: Frame, progress: Progress | None = None) -> Checked:
    """Return everything that is wrong with the files of a job directory.

    Raises:
        OSError: the directory itself cannot be read.
    """
    tree = look(root)
    facts: dict[str, Facts] = {}
    found = list(tree.findings)
    for result in _each(tree, frame, progress or (lambda _done, _all: None)):
        found.extend(result.findings)
        if result.facts is None:
            continue
        first = facts.setdefault(result.facts.job_id, result.facts)
        if first is not result.facts:
            found.append(twice(result.facts.file, first.job_id, first.file))
    reader = JobReader(tree)
    found.extend(check_calendars(reader.calendars))
    broken = frozenset(job_id_of(path) for path in tree.files) - facts.keys()
    places = Places(root)
    waits = Waits(facts, _Jobs(reader, facts), frame.now, frame.horizon)
    faults = (*check_links(facts, broken), *check_chains(facts), *waits.check())
    found.extend(_located(fault, facts, places) for fault in faults)
    return Checked(jobs=tuple(facts), findings=in_order(found))


def _located(fault: Fault, facts: dict[str, Facts], places: Places) -> Finding:
    findings = Findings()
    findings.add(fault.path, fault.message, code=fault.code, severity=fault.severity)
    return findings.located(places.locator(facts[fault.job_id].file))[0]


class _Jobs:
    """The jobs of a directory, each read again when one is asked for: few are."""

    def __init__(self, reader: JobReader, facts: Mapping[str, Facts]) -> None:
        self.reader = reader
        self.facts = facts
        self._known: dict[str, Job | None] = {}

    def __call__(self, job_id: str) -> Job | None:
        """Return the job; None where its file is another one by now."""
        if job_id not in self._known:
            self._known[job_id] = self.reader.read(PurePosixPath(self.facts[job_id].file)).job
        return self._known[job_id]


@dataclass(frozen=True, slots=True)
class _Result:
    """What was found in one file; `facts` None: it holds no job that can be used."""

    findings: list[Finding]
    facts: Facts | None = None


def _each(tree: Tree, frame: Frame, progress: Progress) -> Iterator[_Result]:
    """Yield what is found in each file, in order."""
    files = list(tree.files)
    processors = len(os.sched_getaffinity(0))
    if len(files) < _MANY or processors < 2:
        worker = _Worker(tree, frame)
        for number, path in enumerate(files, 1):
            yield worker.check(path)
            progress(number, len(files))
        return
    shares = [files[start : start + _SHARE] for start in range(0, len(files), _SHARE)]
    done = 0
    # The workers are copies of this process, so what it has imported is there already.
    with multiprocessing.get_context("fork").Pool(processors, _begin, (tree, frame)) as workers:
        for share, results in zip(shares, workers.imap(_share, shares), strict=True):
            yield from results
            done += len(share)
            progress(done, len(files))


class _Worker:
    """Reads and checks files one by one, with what it has learned from those before."""

    def __init__(self, tree: Tree, frame: Frame) -> None:
        self.reader = JobReader(tree)
        self.frame = frame
        self.windows = Windows()
        self.places = Places(tree.root)

    def check(self, path: PurePosixPath) -> _Result:
        read = self.reader.read(path)
        found = [*read.findings, *self.reader.findings]
        self.reader.findings.clear()
        if read.job is None:
            return _Result(found)
        findings, facts = check_job(read.job, self.frame, self.windows)
        if findings.problems:
            found.extend(findings.located(self.places.locator(read.job.file)))
        return _Result(found, facts)


#: the one of this process, where it is a worker
_own: dict[str, _Worker] = {}


def _begin(tree: Tree, frame: Frame) -> None:
    _own["worker"] = _Worker(tree, frame)


def _share(paths: list[PurePosixPath]) -> list[_Result]:
    worker = _own["worker"]
    return [worker.check(path) for path in paths]
