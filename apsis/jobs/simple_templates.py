"""Templates that only put in names, `{{ date }}` and `{{ date | quote }}`: filled without the template engine.

Most templates are of this kind, and compiling one takes half a millisecond. What is filled here is filled exactly as
the engine would; whatever is less simple is left to it.
"""

import re
import shlex
from collections.abc import Mapping
from typing import Final

#: a name that is no word of the template language
SIMPLE: Final = re.compile(
    r"(?<!\{)\{\{\s*(?!(?:and|else|if|in|is|not|or|for|recursive|true|false|none|True|False|None)\b)"
    r"([A-Za-z_][A-Za-z0-9_]*)\s*(\|\s*quote\s*)?\}\}"
)
#: characters above which the engine says that it is too much
_LONGEST: Final = 1 << 20
#: an expression without braces in it (a text may have some) and without a say about the blanks around it
_EXPRESSION: Final = re.compile(r"""((?<!\{)\{\{(?![-+])(?:[^{}'"]|'[^'{}\\]*'|"[^"{}\\]*")*(?<!-)\}\})""")
_OTHER: Final = re.compile(r"\{[{%#]|\r")


def names_in(text: str) -> list[tuple[str, bool]] | None:
    """Return each name in a text and whether it is quoted, in order; None where its templates are not simple."""
    if _OTHER.search(SIMPLE.sub("", text)):
        return None
    return [(name, bool(quoted)) for name, quoted in SIMPLE.findall(text)]


def fill(text: str, values: Mapping[str, str]) -> str | None:
    """Return a text with its templates filled, without one newline at its end; None where that needs the engine."""
    names = names_in(text)
    if names is None or any(name not in values for name, _ in names):
        return None

    def value(match: re.Match[str]) -> str:
        found = values[match[1]]
        return shlex.quote(found) if match[2] else found

    filled = SIMPLE.sub(value, text.removesuffix("\n"))
    return filled if len(filled) <= _LONGEST else None


def pieces(text: str) -> list[str]:
    """Return a text in pieces, plain ones and templates in turn; each may be expanded alone. A newline at the end goes.

    The expressions of many jobs are the same where their texts are not, so there is less to compile. What is more
    than expressions (statements, comments) is one piece.
    """
    found = _EXPRESSION.split(text.removesuffix("\n"))
    if any(_OTHER.search(each) for each in found[::2]) or "\r" in text:
        return ["", text]
    return found
