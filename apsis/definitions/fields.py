"""Fields: a mapping whose keys are taken one by one, so that what is left over is known to be a mistake."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from apsis.definitions.finding import WARNING, Findings, Path
from apsis.definitions.nearest import did_you_mean
from apsis.definitions.recording import Asked, is_recording, note
from apsis.errors import ApsisError

T = TypeVar("T")
D = TypeVar("D")


class FormError(ValueError):
    """A value has not the form that is wanted; `subpath` leads from the field to the culprit in it."""

    def __init__(self, message: str, subpath: Path = ()) -> None:
        super().__init__(message)
        self.subpath = subpath


class Fields:
    """A mapping being read. A field that cannot be read is noted, and reading goes on.

    After a finding `failed` is true, and what was made from the fields must be thrown away.
    """

    def __init__(self, value: dict[str, Any], path: Path, findings: Findings, what: str) -> None:
        self.value = value
        self.path = path
        self.findings = findings
        self.what = what
        self.failed = False
        self._known: dict[str, None] = {}

    def __contains__(self, key: str) -> bool:
        return key in self.value

    def take(self, key: str, default: Any = None) -> Any:
        """Return a value as it stands, and count its key as known."""
        self._known[key] = None
        if is_recording():
            note(Asked(self, self.path, key))
        return self.value.get(key, default)

    def optional(self, key: str, parse: Callable[[Any], T], default: D) -> T | D:
        """Return the parsed value, or `default` where the key is absent or null."""
        value = self.take(key)
        if is_recording():
            note(Asked(self, self.path, key, parse))
        if value is None:
            return default
        try:
            return parse(value)
        except FormError as error:
            self.refuse(key, str(error), subpath=error.subpath)
        except ApsisError as error:
            self.refuse(key, f"{error.message}; {error.hint}" if error.hint else error.message)
        except ValueError as error:
            self.refuse(key, str(error))
        return default

    def required(self, key: str, parse: Callable[[Any], T]) -> T:
        """Return the parsed value; where there is none, note it (the result is then not to be used)."""
        if is_recording():
            note(Asked(self, self.path, key, parse, required=True))
        if self.value.get(key) is None:
            self._known[key] = None
            self.failed = True
            self.findings.add(self.path, f"{self.what} needs the key {key!r}", code="missing")
            return cast(T, None)
        return cast(T, self.optional(key, parse, None))

    def untaken(self) -> list[str]:
        """Return the keys that nobody has taken yet, for a type that takes whatever there is."""
        return [key for key in self.value if key not in self._known]

    def refuse(self, key: str, message: str, *, code: str = "invalid", subpath: Path = ()) -> None:
        """Note that the value of a key is wrong."""
        self.failed = True
        self.findings.add((*self.path, key, *subpath), f"{key}: {message}", code=code)

    def warn(self, key: str, message: str, *, code: str) -> None:
        """Note something about a key that does not forbid its use."""
        self.findings.add((*self.path, key), f"{key}: {message}", code=code, severity=WARNING)

    def nested(self, key: str, what: str) -> "Fields | None":
        """Return the fields of a mapping below this one; None where it is absent (or no mapping, which is noted)."""
        value = self.take(key)
        if is_recording():
            note(Asked(self, self.path, key, nested=True))
            value = {} if value is None else value
        if value is None:
            return None
        if not isinstance(value, dict):
            self.refuse(key, f"expected a mapping, got {shown(value)}")
            return None
        return Fields(value, (*self.path, key), self.findings, what)

    def close(self) -> bool:
        """Note each key that nobody took; return whether all that was read is good."""
        for key in self.value:
            if key not in self._known:
                self.failed = True
                near = did_you_mean(key, self._known)
                known = f"; known: {', '.join(self._known)}" if not near else ""
                self.findings.add(
                    (*self.path, key),
                    f"unknown key {key!r} in {self.what}{near}{known}",
                    code="unknown_key",
                    at_key=True,
                )
        return not self.failed

    def join(self, nested: "Fields") -> None:
        """Close fields below, and fail with them."""
        if not nested.close():
            self.failed = True


def shown(value: object) -> str:
    """Return a value as an error shows it: short, with its kind."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
