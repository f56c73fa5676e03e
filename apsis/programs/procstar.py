"""The program types `procstar` and `procstar-shell`, which existing installations write: `program` and `shell` here."""

from dataclasses import replace
from typing import Any, ClassVar, Final, Self, TypeVar

from apsis.definitions.fields import Fields, FormError, shown
from apsis.definitions.forms import name
from apsis.messages.dispatch import Cgroup
from apsis.programs.argv import ArgvSpec
from apsis.programs.shell import ShellSpec

Spec = TypeVar("Spec", bound=ArgvSpec | ShellSpec)

#: the group that agents join who are told no other: whatever host there is
ANY_GROUP: Final = "default"
_GB: Final = 1000**3


class ProcstarSpec(ArgvSpec):
    """A `procstar`: a `program` on the host group `group_id`, as the user `sudo_user`."""

    __slots__ = ()
    type: ClassVar[str] = "procstar"

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Take the keys of a `procstar`."""
        return _with_their_keys(super().read(fields), fields)


class ProcstarShellSpec(ShellSpec):
    """A `procstar-shell`: a `shell` on the host group `group_id`, as the user `sudo_user`."""

    __slots__ = ()
    type: ClassVar[str] = "procstar-shell"

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Take the keys of a `procstar-shell`."""
        return _with_their_keys(super().read(fields), fields)


def _with_their_keys(spec: Spec, fields: Fields) -> Spec:
    """Return the program with what `group_id`, `sudo_user` and `resources` say."""
    options = spec.options
    group = fields.optional("group_id", name, None)
    user = fields.optional("sudo_user", name, None)
    for theirs, ours, value in (("group_id", "host", options.host), ("sudo_user", "user", options.user)):
        if fields.value.get(theirs) is not None and value is not None:
            fields.refuse(theirs, f"means the same as `{ours}`, which stands there too; keep one of the two")
    if group is not None and group != ANY_GROUP:
        options = replace(options, host=group)
    if user is not None:
        options = replace(options, user=user)
    if (cgroup := _resources(fields)) is not None:
        if options.around.cgroup is not None:
            fields.refuse("resources", "means the same as `cgroup`, which stands there too; keep one of the two")
        options = replace(options, around=replace(options.around, cgroup=cgroup))
    return replace(spec, options=options)


def _resources(fields: Fields) -> Cgroup | None:
    """Take the key `resources`: memory in gigabytes, and processors."""
    nested = fields.nested("resources", "resources")
    if nested is None:
        return None
    memory = [nested.optional(key, _amount, None) for key in ("mem_max_gb", "mem_gb")]
    cores = nested.optional("vcpu", _amount, None)
    fields.join(nested)
    size = next((each for each in memory if each is not None), None)
    return Cgroup(memory_max=None if size is None else int(size * _GB), cpu_max=cores)


def _amount(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.01 <= value <= 1e6:
        raise FormError(f"expected a number above 0, got {shown(value)}")
    return float(value)
