"""The condition `file`: a file is there, or is not; new enough, or large enough. On the machine of the scheduler."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from apsis.conditions.asked import Asked, Pace
from apsis.conditions.binding import Binding
from apsis.definitions.fields import Fields, FormError, shown
from apsis.definitions.forms import boolean, count, name, text
from apsis.programs.templated import bound, has_template
from apsis.times import parse_time
from apsis.times.durations import parse_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSpec:
    """A `file` as a job file has it; `path` and `newer_than` may be templates."""

    type: ClassVar[str] = "file"

    path: str
    exists: bool = True
    newer_than: str | None = None
    min_size: int | None = None
    pace: Pace = field(default_factory=Pace)

    @classmethod
    def read(cls, fields: Fields) -> "FileSpec":
        """Take the keys of a `file`."""
        exists = fields.optional("exists", boolean, True)
        newer_than = fields.optional("newer_than", _newer_text, None)
        min_size = fields.optional("min_size", count, None)
        if not exists:
            for key, value in (("newer_than", newer_than), ("min_size", min_size)):
                if value is not None:
                    fields.refuse(key, "has no meaning for a file that is not to be there (`exists: false`)")
        return cls(
            path=fields.required("path", _path_text),
            exists=exists,
            newer_than=newer_than,
            min_size=min_size,
            pace=Pace.read(fields),
        )

    def bind(self, binding: Binding, key: str) -> Asked:
        """Return the condition for one run."""
        keys: dict[str, Any] = {"path": bound(absolute, binding.expand(self.path, f"{key}.path"), f"{key}.path")}
        says = "is there" if self.exists else "is not there"
        if not self.exists:
            keys["exists"] = False
        if self.newer_than is not None:
            newer = binding.expand(self.newer_than, f"{key}.newer_than").strip()
            bound(oldest, newer, f"{key}.newer_than")
            keys["newer_than"] = newer
            says += f" and newer than {newer}"
        if self.min_size is not None:
            keys["min_size"] = self.min_size
            says += f" and has {self.min_size} bytes or more"
        return Asked(
            type=self.type,
            keys=keys,
            text=f"{keys['path']} {says}",
            interval=self.pace.interval,
            timeout=self.pace.timeout,
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as a job shows it."""
        shown_keys: dict[str, Any] = {"type": self.type, "path": self.path}
        if not self.exists:
            shown_keys["exists"] = False
        for key in ("newer_than", "min_size"):
            if getattr(self, key) is not None:
                shown_keys[key] = getattr(self, key)
        return {**shown_keys, **self.pace.to_json()}


def oldest(value: str) -> tuple[datetime | timedelta | None, str]:
    """Return what a file must be newer than: a time, an age, or (as path) another file.

    Raises:
        FormError: it is none of these.
    """
    if value.startswith("/"):
        return None, value
    for parse in (_age, parse_time):
        try:
            return parse(value), ""
        except ValueError:
            continue
    raise FormError(
        f"expected a time like 2026-06-30T12:00:00Z, an age like `1 day`, or the path of another file; got {value!r}"
    )


def absolute(value: str) -> str:
    """Return the path of a file; raises FormError where it is none that everybody understands alike."""
    if "\0" in value:
        raise FormError("a path cannot contain a NUL character")
    if not value.startswith("/"):
        raise FormError(f"expected a path that begins with /, got {shown(value)}")
    return value


def _age(value: str) -> timedelta:
    return timedelta(seconds=parse_duration(value))


def _path_text(value: Any) -> str:
    found = name(value)
    return found if has_template(found) else absolute(found.strip())


def _newer_text(value: Any) -> str:
    found = text(value)
    if not has_template(found):
        oldest(found.strip())
    return found
