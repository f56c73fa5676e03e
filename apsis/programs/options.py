"""The keys that all programs which run as a process have."""

from dataclasses import dataclass, field
from typing import Any, Final

from apsis.definitions.fields import Fields, FormError, shown
from apsis.definitions.forms import count, integer, list_of, mapping_of, name, one_of, one_or_list, text
from apsis.messages.dispatch import StopPolicy, TimeoutPolicy
from apsis.programs.templated import Expand
from apsis.programs.timeouts import StopSpec, TimeoutSpec, read_stop, read_timeout

_LIMITS: Final = ("cpu", "memory", "open_files", "processes", "file_size")
_CGROUP: Final = ("memory_max", "cpu_max", "pids_max")
#: read and checked, and said at load not to take effect: better than a limit that is silently none
_NOT_APPLIED: Final = ("env_file", "inherit_env", "secrets", "stdin", "umask", "nice", "limits", "cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundOptions:
    """The common keys for one run."""

    host: str | None
    user: str | None
    group: str | None
    cwd: str | None
    env: dict[str, str | None]
    stop: StopPolicy
    timeout: TimeoutPolicy | None
    leftovers: str
    success_exit_codes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The common keys as a job file has them."""

    host: str | None = None
    user: str | None = None
    group: str | None = None
    cwd: str | None = None
    env: dict[str, str | None] = field(default_factory=dict)
    stop: StopSpec = field(default_factory=StopSpec)
    timeout: TimeoutSpec | None = None
    leftovers: str = "kill"
    success_exit_codes: tuple[int, ...] = (0,)

    @classmethod
    def read(cls, fields: Fields) -> "Options":
        """Take the common keys."""
        options = cls(
            host=fields.optional("host", name, None),
            user=fields.optional("user", name, None),
            group=fields.optional("group", name, None),
            cwd=fields.optional("cwd", name, None),
            env=fields.optional("env", _environment, {}),
            stop=read_stop(fields),
            timeout=read_timeout(fields),
            leftovers=fields.optional("leftovers", one_of("kill", "leave"), "kill"),
            success_exit_codes=tuple(fields.optional("success_exit_codes", one_or_list(_exit_code), [0])),
        )
        _read_not_applied(fields)
        return options

    def bind(self, expand: Expand) -> BoundOptions:
        """Return the keys for one run; raises BindError."""
        return BoundOptions(
            host=_expanded(self.host, "program.host", expand),
            user=_expanded(self.user, "program.user", expand),
            group=_expanded(self.group, "program.group", expand),
            cwd=_expanded(self.cwd, "program.cwd", expand),
            env={key: _expanded(value, f"program.env.{key}", expand) for key, value in self.env.items()},
            stop=self.stop.bind(expand, "program.stop"),
            timeout=self.timeout.bind(expand, "program.timeout") if self.timeout else None,
            leftovers=self.leftovers,
            success_exit_codes=self.success_exit_codes,
        )

    def texts(self) -> dict[str, str]:
        """Return each text in which templates are expanded, by the path of its key."""
        found = {f"program.{key}": getattr(self, key) for key in ("host", "user", "group", "cwd")}
        found |= {f"program.env.{key}": value for key, value in self.env.items()}
        found |= {"program.stop.signal": self.stop.signal, "program.stop.grace_period": self.stop.grace_period}
        if self.timeout:
            found |= {"program.timeout.duration": self.timeout.duration, "program.timeout.signal": self.timeout.signal}
        return {key: value for key, value in found.items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        """Return them as a job shows them: environment variables by name only."""
        shown: dict[str, Any] = {
            key: getattr(self, key) for key in ("host", "user", "group", "cwd") if getattr(self, key)
        }
        if self.env:
            shown["env"] = sorted(self.env)
        shown["stop"] = self.stop.to_json()
        if self.timeout:
            shown["timeout"] = self.timeout.to_json()
        if self.success_exit_codes != (0,):
            shown["success_exit_codes"] = list(self.success_exit_codes)
        return {**shown, "leftovers": self.leftovers}


def _expanded(value: str | None, key: str, expand: Expand) -> str | None:
    return None if value is None else expand(value, key)


def _read_not_applied(fields: Fields) -> None:
    """Check the keys that this version does not carry out yet, and warn of each."""
    fields.optional("env_file", name, None)
    fields.optional("inherit_env", lambda value: value if isinstance(value, bool) else list_of(name)(value), None)
    fields.optional("secrets", mapping_of(name), None)
    fields.optional("stdin", text, None)
    fields.optional("umask", _umask, None)
    fields.optional("nice", integer, None)
    for key, known in (("limits", _LIMITS), ("cgroup", _CGROUP)):
        if (nested := fields.nested(key, key)) is not None:
            for each in known:
                nested.optional(each, _limit, None)
            fields.join(nested)
    for key in _NOT_APPLIED:
        if fields.value.get(key) is not None:
            fields.warn(
                key, "this version of Apsis does not apply it; the program is started without", code="not_applied"
            )


def _environment(value: Any) -> dict[str, str | None]:
    found = mapping_of(lambda each: None if each is None else text(each))(value)
    for key, each in found.items():
        if not key or "=" in key or "\0" in key:
            raise FormError(f"{key!r} cannot be the name of an environment variable", (key,))
        if each is not None and "\0" in each:
            raise FormError(f"{key}: a value cannot contain a NUL character", (key,))
    return found


def _exit_code(value: Any) -> int:
    found = count(value)
    if found > 255:
        raise FormError(f"an exit status is 0 to 255, got {found}")
    return found


def _umask(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o777:
        return value
    if isinstance(value, str):
        try:
            return int(value, 8)
        except ValueError:
            pass
    raise FormError(f"expected a mask like 022, got {shown(value)}")


def _limit(value: Any) -> int | float | str:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and value.strip():
        return value
    raise FormError(f"expected a number, or a text like 512M, got {shown(value)}")
