"""The keys that all programs which run as a process have."""

from dataclasses import dataclass, field, replace
from typing import Any, Final

from apsis.definitions.fields import Fields, FormError
from apsis.definitions.forms import count, mapping_of, name, one_of, one_or_list, text
from apsis.messages.dispatch import StopPolicy, TimeoutPolicy
from apsis.programs.surroundings import Surroundings
from apsis.programs.templated import Expand
from apsis.programs.timeouts import StopSpec, TimeoutSpec, read_stop, read_timeout

MODULE_PATH: Final = "PYTHONPATH"


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
    around: Surroundings

    def by_our_interpreter(self) -> "BoundOptions":
        """Return them with the module path of Apsis: what can be imported there can be imported by the run."""
        wanted = self.around.inherit_env
        if wanted is True or (isinstance(wanted, list) and MODULE_PATH in wanted) or MODULE_PATH in self.env:
            return self
        names = [*(wanted or []), MODULE_PATH]
        return replace(self, around=replace(self.around, inherit_env=names))


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
    around: Surroundings = field(default_factory=Surroundings)

    @classmethod
    def read(cls, fields: Fields) -> "Options":
        """Take the common keys."""
        return cls(
            host=fields.optional("host", name, None),
            user=fields.optional("user", name, None),
            group=fields.optional("group", name, None),
            cwd=fields.optional("cwd", name, None),
            env=fields.optional("env", _environment, {}),
            stop=read_stop(fields),
            timeout=read_timeout(fields),
            leftovers=fields.optional("leftovers", one_of("kill", "leave"), "kill"),
            success_exit_codes=fields.optional("success_exit_codes", _exit_codes, (0,)),
            around=Surroundings.read(fields),
        )

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
            around=self.around.bind(expand),
        )

    def texts(self) -> dict[str, str]:
        """Return each text in which templates are expanded, by the path of its key."""
        found = {f"program.{key}": getattr(self, key) for key in ("host", "user", "group", "cwd")}
        found |= {f"program.env.{key}": value for key, value in self.env.items()}
        found |= {"program.stop.signal": self.stop.signal, "program.stop.grace_period": self.stop.grace_period}
        if self.timeout:
            found |= {"program.timeout.duration": self.timeout.duration, "program.timeout.signal": self.timeout.signal}
        return {key: value for key, value in found.items() if value is not None} | self.around.texts()

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
        return {**shown, **self.around.to_json(), "leftovers": self.leftovers}


def _expanded(value: str | None, key: str, expand: Expand) -> str | None:
    return None if value is None else expand(value, key)


def _environment(value: Any) -> dict[str, str | None]:
    found = mapping_of(lambda each: None if each is None else text(each))(value)
    for key, each in found.items():
        if not key or "=" in key or "\0" in key:
            raise FormError(f"{key!r} cannot be the name of an environment variable", (key,))
        if each is not None and "\0" in each:
            raise FormError(f"{key}: a value cannot contain a NUL character", (key,))
    return found


def _exit_codes(value: Any) -> tuple[int, ...]:
    found = tuple(one_or_list(_exit_code)(value))
    if not found:
        raise FormError("the list is empty; no run could ever succeed")
    return found


def _exit_code(value: Any) -> int:
    found = count(value)
    if found > 255:
        raise FormError(f"an exit status is 0 to 255, got {found}")
    return found
