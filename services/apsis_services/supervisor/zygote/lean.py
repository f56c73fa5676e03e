"""Small stand-ins for large modules of the standard library, in a zygote and its shims only.

A fork pays for every page that it touches, and a heap with `typing`, `enum`, `re` and all they bring spreads
what a shim touches over twice as many pages. So a zygote, before it imports anything else of ours, gets
modules that have what ours ask of `typing`, `signal` and `socket`, and nothing more. Nobody else uses this:
the same code runs with the real modules in the supervisor and in tests. `docs/adr/0005-a-lean-zygote.md`.
"""

import sys
from collections import namedtuple
from collections.abc import Callable
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: as a type checker cannot follow it: with names that are known at run time alone
_NAMEDTUPLE: "Callable[..., type]" = namedtuple


class _Hint:
    """A word that only a type checker reads: it may be subscripted, joined by `|`, and called as `cast` is."""

    def __getitem__(self, _: object) -> "_Hint":
        return self

    def __or__(self, _: object) -> "_Hint":
        return self

    __ror__ = __or__

    def __call__(self, *arguments: object) -> object:
        return arguments[-1]


class _Shape:
    """The base of what describes a shape to a type checker: a protocol, a typed dictionary."""

    def __init_subclass__(cls, **_: object) -> None:
        return


class _Fields(type):
    """Makes a class with annotations into a named tuple, as `typing.NamedTuple` does."""

    def __new__(cls, name: str, _: tuple[type, ...], body: "dict[str, Any]") -> type:
        fields: dict[str, object] = body.pop("__annotations__", {})
        defaults = [body.pop(field) for field in fields if field in body]
        made: type = _NAMEDTUPLE(name, fields, defaults=defaults)
        for key, value in body.items():
            setattr(made, key, value)
        return made


def _typing() -> ModuleType:
    hint = _Hint()
    module = ModuleType("typing")
    module.__dict__.update(
        TYPE_CHECKING=False,
        NamedTuple=type.__new__(_Fields, "NamedTuple", (), {}),
        Protocol=_Shape,
        TypedDict=_Shape,
        __getattr__=lambda _: hint,
    )
    return module


def _socket() -> ModuleType:
    import _socket as bare

    class Socket(bare.socket):
        """A socket that accepts; it is closed by who opened it, or with the process."""

        __slots__ = ()

        def accept(self) -> "tuple[Socket, object]":
            fd, address = self._accept()  # type: ignore[attr-defined]
            return Socket(fileno=fd), address

    module = ModuleType("socket")
    module.__dict__.update(vars(bare), socket=Socket, __name__="socket")
    return module


def _signal() -> ModuleType:
    import _signal as bare  # type: ignore[import-not-found]

    module: ModuleType = bare
    return module


def lighten() -> None:
    """Put the stand-ins in place, for what is imported from here on. What an interpreter lacks stays as it is."""
    makers = {"signal": _signal, "socket": _socket}
    if sys.version_info < (3, 14):  # later, a class tells of its annotations in another way
        makers["typing"] = _typing
    for name, make in makers.items():
        if name not in sys.modules:
            try:
                sys.modules[name] = make()
            except ImportError:
                continue
