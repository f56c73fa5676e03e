"""Answers: a sentence, and the reasons behind it as a tree that a person goes down until the cause."""

from typing import Final

import msgspec

#: reasons below one another, and in all, that one answer has; what is beyond is said to be left out
DEPTH: Final = 20
SIZE: Final = 200


class Because(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One reason, with those behind it."""

    #: stable word: `condition`, `run`, `cycle`, `resource`, `place`, `host`, `pause`, `calendar`, `exit`, ...
    kind: str
    text: str
    #: of a condition: `true` holds, `false` does not, null: it was not its turn yet
    holds: bool | None = None
    run_id: str = ""
    job_id: str = ""
    #: when it happened, or will; a time
    at: str = ""
    #: what a person can do about it
    hint: str = ""
    because: list["Because"] = []


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one question of why."""

    #: what was asked about: `r12`, `etl/load`, `etl/load on 2026-06-26`, `resource db`
    subject: str
    answer: str
    because: list[Because] = []


def lines_of(answer: Answer) -> list[str]:
    """Return an answer as lines of text, reasons indented below what they explain."""
    lines = [f"{answer.subject}: {answer.answer}"]
    _add(lines, answer.because, 1)
    return lines


def _add(lines: list[str], reasons: list[Because], depth: int) -> None:
    marks = {True: "[x] ", False: "[ ] ", None: ""}
    for each in reasons:
        indent = "  " * depth
        lines.append(f"{indent}{marks[each.holds]}{each.text}")
        if each.hint:
            lines.append(f"{indent}  > {each.hint}")
        _add(lines, each.because, depth + 1)
