"""Findings: what is wrong with a definition, and where. Knows no YAML; a file adds the lines afterwards."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

#: the way from the top of a definition to a value in it
Path = tuple[str | int, ...]
#: the line and column of a path, both from 1; with True: of the key instead of the value
Locate = Callable[[Path, bool], tuple[str, int, int]]

ERROR: Final = "error"
WARNING: Final = "warning"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with a definition. Line and column count from 1; 0: not known."""

    file: str = ""
    line: int = 0
    column: int = 0
    severity: str = ERROR
    #: stable word: `syntax`, `unknown_key`, `missing`, `invalid`, `duplicate`, ...
    code: str
    message: str
    #: where in the definition: `schedule[0].daytime`
    path: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.file else f"{self.path}: " if self.path else ""
        return f"{place}{self.severity}: {self.message}"


def path_text(path: Path) -> str:
    """Return a path as a person writes it: `schedule[0].daytime`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(frozen=True, slots=True)
class _Problem:
    path: Path
    message: str
    code: str
    severity: str
    at_key: bool


@dataclass(slots=True)
class Findings:
    """Collects what is found while one definition is read, so that all of it is reported and not only the first."""

    problems: list[_Problem] = field(default_factory=list)

    def add(
        self, path: Path, message: str, *, code: str = "invalid", severity: str = ERROR, at_key: bool = False
    ) -> None:
        """Note one thing wrong with the value (or, with `at_key`, the key) at `path`."""
        self.problems.append(_Problem(path, message, code, severity, at_key))

    @property
    def errors(self) -> int:
        """The number of findings that forbid the use of the definition."""
        return sum(problem.severity == ERROR for problem in self.problems)

    def located(self, locate: Locate | None = None) -> list[Finding]:
        """Return the findings, each with the file, line and column that `locate` gives."""
        found = []
        for problem in self.problems:
            file, line, column = locate(problem.path, problem.at_key) if locate else ("", 0, 0)
            found.append(
                Finding(
                    file=file,
                    line=line,
                    column=column,
                    severity=problem.severity,
                    code=problem.code,
                    message=problem.message,
                    path=path_text(problem.path),
                )
            )
        return sorted(found, key=lambda finding: (finding.line, finding.column))
