"""Programs that care for Apsis itself: `stats`, `archive`, `vacuum`, `retention`.

Each is a process like any other, which asks the running services: a service that is busy or away holds up the
program, never the other way round.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self

from apsis.definitions.fields import Fields, FormError, shown
from apsis.definitions.forms import integer, name
from apsis.programs.base import NOT_CARRIED_OUT
from apsis.programs.options import Options
from apsis.programs.process import ProcessProgram
from apsis.programs.python import module_words, payload
from apsis.programs.templated import BindError, Expand, bound, duration_text, seconds, templated

#: runs that are archived at most, where the job does not say
COUNT: Final = "10000"


def _positive(value: Any) -> int:
    found = int(value) if isinstance(value, str) and value.strip().isdecimal() else integer(value)
    if found < 1:
        raise FormError(f"expected a number from 1 on, got {shown(value)}")
    return found


count_text = templated(_positive)


@dataclass(frozen=True, slots=True, kw_only=True)
class _UpkeepSpec:
    """What they have in common: keys that are texts with templates, and what each means when it is expanded."""

    type: ClassVar[str] = ""
    #: key: its form, and its text where it is not given; None: it must be given, or may be absent
    forms: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    required: ClassVar[tuple[str, ...]] = ()
    defaults: ClassVar[Mapping[str, str]] = MappingProxyType({})

    #: key: its text
    keys: dict[str, str] = field(default_factory=dict)
    options: Options = field(default_factory=Options)

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Take the keys of the type."""
        keys: dict[str, str] = {}
        for key, form in cls.forms.items():
            if key in cls.required:
                found = fields.required(key, form)
            else:
                found = fields.optional(key, form, cls.defaults.get(key))
            if found is not None:
                keys[key] = found
        return cls(keys=keys, options=Options.read(fields))

    def bind(self, expand: Expand) -> ProcessProgram:
        """Return the program for one run; raises BindError."""
        texts = {key: expand(value, f"program.{key}") for key, value in self.keys.items()}
        given = self.meant(texts)
        done = self.options.bind(expand).by_our_interpreter()
        return ProcessProgram(
            type=self.type,
            argv=(*module_words("apsis.upkeep"), self.type, payload(given)),
            details=given,
            error_exit_codes=(NOT_CARRIED_OUT,),
            **{key: getattr(done, key) for key in done.__slots__},
        )

    def meant(self, texts: dict[str, str]) -> dict[str, Any]:
        """Return what the expanded texts mean; raises BindError."""
        return {key: _path(text) if key == "path" else text for key, text in texts.items()}

    def texts(self) -> dict[str, str]:
        """Return each text in which templates are expanded, by the path of its key."""
        return {**{f"program.{key}": value for key, value in self.keys.items()}, **self.options.texts()}

    def to_json(self) -> dict[str, Any]:
        """Return it as a job shows it."""
        return {"type": self.type, **self.keys, **self.options.to_json()}


class StatsSpec(_UpkeepSpec):
    """Print figures of Apsis as one line of JSON, and append it to the file `path`, if there is one."""

    __slots__ = ()
    type: ClassVar[str] = "stats"
    forms: ClassVar[Mapping[str, Any]] = MappingProxyType({"path": name})


class ArchiveSpec(_UpkeepSpec):
    """Move runs that ended `age` ago or longer into the file `path`.

    At most `count` of them, `chunk_size` at a time with `chunk_sleep` between.
    """

    __slots__ = ()
    type: ClassVar[str] = "archive"
    forms: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "age": duration_text,
            "path": name,
            "count": count_text,
            "chunk_size": count_text,
            "chunk_sleep": duration_text,
        }
    )
    required: ClassVar[tuple[str, ...]] = ("age", "path")
    defaults: ClassVar[Mapping[str, str]] = MappingProxyType({"count": COUNT, "chunk_sleep": "0"})

    def meant(self, texts: dict[str, str]) -> dict[str, Any]:
        """Return the keys as numbers; without `chunk_size` all is one chunk."""
        count = bound(_positive, texts["count"], "program.count")
        size = texts.get("chunk_size")
        return {
            "age": seconds(texts["age"], "program.age"),
            "path": _path(texts["path"]),
            "count": count,
            "chunk_size": count if size is None else bound(_positive, size, "program.chunk_size"),
            "chunk_sleep": seconds(texts["chunk_sleep"], "program.chunk_sleep"),
        }


class VacuumSpec(_UpkeepSpec):
    """Give the pages of the database that are free back to the disk, while the scheduler goes on."""

    __slots__ = ()
    type: ClassVar[str] = "vacuum"


class RetentionSpec(_UpkeepSpec):
    """Remove the outputs that are no longer kept, now."""

    __slots__ = ()
    type: ClassVar[str] = "retention"


def _path(text: str) -> str:
    """Return the path of a file; one that is not whole is below the home."""
    if not text or "\0" in text:
        raise BindError("program.path", f"expected the path of a file, got {text!r}")
    return text
