"""What a program finds around itself beyond its words: variables, secrets, input, mask, niceness, limits."""

from dataclasses import dataclass, field
from typing import Any, Final

from apsis.definitions.fields import Fields, FormError, shown
from apsis.definitions.forms import integer, list_of, mapping_of, name, text
from apsis.messages.dispatch import Cgroup, Limits
from apsis.programs.limits import cgroup_json, limits_json, read_cgroup, read_limits
from apsis.programs.templated import BindError, Expand
from apsis.programs.variables import secret_name, variable_name

#: bytes of a text for standard input: it travels with the command, and is kept with the run
STDIN_MAX: Final = 64 * 1024
UMASK: Final = 0o022
_LOWEST, _HIGHEST = -20, 19
#: masks that everybody knows, as YAML reads them when the 0 in front is missing
_SLIPS: Final = {22: "022", 27: "027", 37: "037", 77: "077"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The keys for one run. Secrets by name only: the host has their values."""

    env_file: str | None = None
    inherit_env: bool | list[str] = False
    secrets: dict[str, str] = field(default_factory=dict)
    stdin: str | None = None
    stdin_file: str | None = None
    umask: int = UMASK
    nice: int | None = None
    limits: Limits | None = None
    cgroup: Cgroup | None = None

    def to_json(self) -> dict[str, Any]:
        """Return them as a run shows them: nothing that is as by default, of a text for input its length alone."""
        stdin: Any = None if self.stdin is None else {"bytes": len(self.stdin.encode())}
        if self.stdin_file is not None:
            stdin = {"file": self.stdin_file}
        found: dict[str, Any] = {
            "env_file": self.env_file,
            "inherit_env": self.inherit_env or None,
            "secrets": self.secrets or None,
            "stdin": stdin,
            "umask": None if self.umask == UMASK else f"{self.umask:03o}",
            "nice": self.nice,
            "limits": None if self.limits is None else limits_json(self.limits),
            "cgroup": None if self.cgroup is None else cgroup_json(self.cgroup),
        }
        return {key: value for key, value in found.items() if value is not None}

    @classmethod
    def read(cls, fields: Fields) -> "Surroundings":
        """Take the keys as a job file has them; `bind` expands the templates in them."""
        stdin, stdin_file = _read_stdin(fields)
        found = cls(
            env_file=fields.optional("env_file", name, None),
            inherit_env=fields.optional("inherit_env", _inherited, False),
            secrets=fields.optional("secrets", _secrets, {}),
            stdin=stdin,
            stdin_file=stdin_file,
            umask=fields.optional("umask", _umask, UMASK),
            nice=fields.optional("nice", _niceness, None),
            limits=read_limits(fields),
            cgroup=read_cgroup(fields),
        )
        env = fields.value.get("env")
        for each in found.secrets.keys() & (env.keys() if isinstance(env, dict) else set()):
            fields.refuse("secrets", f"{each} stands in `env` too; which of the two is meant?", subpath=(each,))
        return found

    def bind(self, expand: Expand) -> "Surroundings":
        """Return the keys for one run; raises BindError."""
        stdin = None if self.stdin is None else expand(self.stdin, "program.stdin")
        if stdin is not None and self.stdin is not None:
            # templates lose one newline at their end, which is the end of a line here
            stdin = stdin + "\n" if self.stdin.endswith("\n") and not stdin.endswith("\n") else stdin
            if (size := len(stdin.encode())) > STDIN_MAX:
                raise BindError(
                    "program.stdin",
                    f"it has {size} bytes, and may have {STDIN_MAX}",
                    hint="write it to a file, and give stdin: {file: PATH}",
                )
        return Surroundings(
            env_file=_path(self.env_file, "program.env_file", expand),
            inherit_env=self.inherit_env,
            secrets=self.secrets,
            stdin=stdin,
            stdin_file=_path(self.stdin_file, "program.stdin.file", expand),
            umask=self.umask,
            nice=self.nice,
            limits=self.limits,
            cgroup=self.cgroup,
        )

    def texts(self) -> dict[str, str]:
        """Return each text in which templates are expanded, by the path of its key."""
        found = {
            "program.env_file": self.env_file,
            "program.stdin": self.stdin,
            "program.stdin.file": self.stdin_file,
        }
        return {key: value for key, value in found.items() if value is not None}


def _path(value: str | None, key: str, expand: Expand) -> str | None:
    """Return an expanded path, which must be whole: the host has no folder of ours to begin at."""
    if value is None:
        return None
    found = expand(value, key)
    if not found.startswith("/") or "\0" in found:
        raise BindError(key, f"expected a path that begins with /, got {found!r}")
    return found


def _read_stdin(fields: Fields) -> tuple[str | None, str | None]:
    """Take the key `stdin`: a text, or `{file: PATH}`."""
    value = fields.value.get("stdin")
    if not isinstance(value, dict):
        found = fields.optional("stdin", _input_text, None)
        if found is not None and found.startswith("/") and "\n" not in found:
            fields.warn("stdin", f"the program will read this very text; a file is {{file: {found}}}", code="stdin")
        return found, None
    nested = fields.nested("stdin", "stdin")
    assert nested is not None
    path = nested.required("file", name)
    fields.join(nested)
    return None, path


def _input_text(value: Any) -> str:
    found = text(value)
    if len(found.encode(errors="surrogatepass")) > STDIN_MAX:
        raise FormError(f"a text for standard input may have {STDIN_MAX} bytes; more is a file: {{file: PATH}}")
    return found


def _inherited(value: Any) -> bool | list[str]:
    if isinstance(value, bool):
        return value
    if not isinstance(value, list):
        raise FormError(f"expected true, false, or a list of names, got {shown(value)}")
    return list_of(variable_name)(value)


def _secrets(value: Any) -> dict[str, str]:
    found = mapping_of(secret_name)(value)
    for key in found:
        variable_name(key)
        if key.startswith("APSIS_"):
            raise FormError(f"{key}: names that begin with APSIS_ are set by Apsis", (key,))
    return found


def _umask(value: Any) -> int:
    """Return a mask; YAML reads 022 as octal, but 22 as the decimal number."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value in _SLIPS:
            raise FormError(f'YAML reads {value} as the mask {value:04o}; write "{_SLIPS[value]}" or "{value:04o}"')
        if 0 <= value <= 0o777:
            return int(value)
    if isinstance(value, str):
        try:
            mask = int(value.strip(), 8)
        except ValueError:
            mask = -1
        if 0 <= mask <= 0o777:
            return mask
    raise FormError(f'expected a mask like "022", got {shown(value)}')


def _niceness(value: Any) -> int:
    found = integer(value)
    if not _LOWEST <= found <= _HIGHEST:
        raise FormError(f"expected {_LOWEST} (first) to {_HIGHEST} (last), got {found}")
    return found
