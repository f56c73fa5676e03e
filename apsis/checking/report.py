"""Reports: findings as lines for people and editors, as JSON for programs, as annotations for GitHub."""

import json
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any, Final

from apsis.definitions.finding import ERROR, Finding

FORMATS: Final = ("text", "json", "github")


def text_lines(findings: Sequence[Finding], root: PurePath) -> Iterator[str]:
    """Yield `file:line:col: error: text`, the file as it can be opened from where the check is run."""
    for finding in findings:
        place = f"{_file(root, finding)}:{finding.line}:{finding.column}"
        yield f"{place}: {finding.severity}: {_one_line(finding.message)}"


def github_lines(findings: Sequence[Finding], root: PurePath) -> Iterator[str]:
    """Yield workflow commands, which GitHub shows beside the lines of a change."""
    for finding in findings:
        place = f"file={_property(_file(root, finding))},line={finding.line},col={finding.column}"
        yield f"::{finding.severity} {place},title={_property(f'apsis {finding.code}')}::{_data(finding.message)}"


def as_json(findings: Sequence[Finding]) -> str:
    """Return an array of objects; `file` is below the job directory."""
    return json.dumps([to_json(finding) for finding in findings], indent=2)


def to_json(finding: Finding) -> dict[str, Any]:
    """Return one finding as scripts and REST have it."""
    return {
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "severity": finding.severity,
        "code": finding.code,
        "message": finding.message,
        "path": finding.path,
    }


def summary(findings: Sequence[Finding], jobs: int) -> str:
    """Return what was found, in one line."""
    errors = sum(finding.severity == ERROR for finding in findings)
    return f"{_count(jobs, 'job')}, {_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _file(root: PurePath, finding: Finding) -> str:
    return _one_line(str(root / finding.file))


def _one_line(text: str) -> str:
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
