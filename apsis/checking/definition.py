"""Checking one definition that nobody has loaded: a text as a file would have it, or plain data."""

from collections.abc import Collection, Mapping
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import msgspec

from apsis.calendars.finder import Calendars
from apsis.checking.facts import Facts
from apsis.checking.links import check_links
from apsis.checking.one_job import Frame, check_job
from apsis.checking.windows import Windows
from apsis.definitions.fields import shown
from apsis.definitions.finding import Finding, Findings, Locate, Path
from apsis.definitions.nearest import did_you_mean
from apsis.jobs.parse import read_job

if TYPE_CHECKING:
    from apsis.jobs.yaml_file import Document


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What the process that checks is given on its standard input; the `yaml` of a file, or else a `job`."""

    job_id: str
    job: dict[str, Any] | None = None
    yaml: str | None = None
    #: where `.cal` files lie; None: there are none
    calendars: str | None = None
    resources: dict[str, int] | None = None
    #: short names of the config, by kind
    extensions: dict[str, dict[str, str]] = {}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What it says: what is wrong in the job alone, and the facts by which others are looked at."""

    findings: list[Finding]
    #: None: it is no job
    facts: Facts | None = None


def check_definition(question: Question, frame: Frame) -> Answer:
    """Return what is wrong with one definition."""
    definition: Any = question.job
    locate: Locate | None = None
    if question.yaml is not None:
        from apsis.jobs.yaml_file import read_yaml

        document = read_yaml(question.yaml.encode(errors="surrogatepass"))
        if document.flaws:
            return Answer(
                findings=[
                    Finding(line=each.line, column=each.column, code=each.code, message=each.message)
                    for each in document.flaws
                ]
            )
        definition = document.value
        locate = _locator(document)
    if not isinstance(definition, dict):
        message = f"expected a mapping with the key 'program', got {shown(definition)}"
        return Answer(findings=[Finding(code="invalid", message=message)])
    calendars = Calendars(FilePath(question.calendars) if question.calendars else None)
    job, found = read_job(question.job_id, definition, calendars=calendars, locate=locate)
    if job is None:
        return Answer(findings=found)
    findings, facts = check_job(job, frame, Windows())
    return Answer(findings=[*found, *findings.located(locate)], facts=facts)


def _locator(document: "Document") -> Locate:
    from apsis.checking.places import place_in

    def locate(path: Path, at_key: bool) -> tuple[str, int, int]:
        line, column, _ = place_in(document, path, at_key)
        return "", line, column

    return locate


def check_targets(facts: Facts, others: Mapping[str, Facts], names: Collection[str]) -> list[Finding]:
    """Return what is wrong with the jobs that a definition names, given those that are loaded, and all their names."""
    findings = Findings()
    for fault in check_links({**others, facts.job_id: facts}, frozenset()):
        if fault.job_id == facts.job_id:
            target = next(each for each in facts.targets if each.path == fault.path[: len(each.path)])
            near = did_you_mean(target.job_id, names) if fault.code == "no_such_job" else ""
            findings.add(fault.path, fault.message.split(" (did")[0] + near if near else fault.message, code=fault.code)
    return findings.located()
