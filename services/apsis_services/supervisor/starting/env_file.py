r"""`env_file`: lines `NAME=value` on the host, read when the program is started.

Blank lines and lines that begin with `#` are passed over, as is `export` before a name. A value in single
quotes is taken as it stands; in double quotes a backslash takes the next character as it stands, and `\n`
and `\t` are a new line and a tab. Nothing is expanded, and no value is ever shown in an error.
"""

import re
from pathlib import Path
from typing import Final

from apsis_services.supervisor.starting.hostfiles import UnusableFile, read_small

_LINE: Final = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*=\s*(.*)")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_SINGLE: Final = re.compile(r"'([^']*)'\s*(?:#.*)?")
_ESCAPE: Final = re.compile(r"\\(.)")


def read_env_file(path: str) -> dict[str, str]:
    """Return the variables in a file; of two lines with one name the last counts.

    Raises:
        UnusableFile: it cannot be read, or a line is none; file and line are named.
    """
    data = read_small(Path(path), "env_file")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise UnusableFile(f"env_file {path} is no UTF-8 text") from None
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        value = _value(match[2]) if match else None
        if match is None or value is None:
            raise UnusableFile(f"env_file {path}:{number}: expected NAME=value", hint="quotes must be closed")
        found[match[1]] = value
    return found


def _value(text: str) -> str | None:
    """Return what stands behind the `=`; None: a quote is not closed, or something follows it, or it holds a NUL."""
    if "\0" in text:
        return None
    if text.startswith('"'):
        match = _DOUBLE.fullmatch(text)
        return _ESCAPE.sub(_unescaped, match[1]) if match else None
    if text.startswith("'"):
        match = _SINGLE.fullmatch(text)
        return match[1] if match else None
    return text


def _unescaped(match: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t"}.get(match[1], match[1])
