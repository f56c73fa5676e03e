"""Small stand-ins for large modules of the standard library, in a zygote and its shims only.

A fork pays for every page that it touches, and a heap with `typing`, `enum`, `re` and all they bring spreads
what a shim touches over twice as many pages. So a zygote, before it imports anything else of ours, gets modules
that have what ours ask of `typing`, `collections.abc`, `signal`, `socket` and `ctypes`, and nothing more. Nobody
else uses this: the same code runs with the real modules in the supervisor and in tests.
`docs/adr/0005-a-lean-zygote.md`.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any
else:
    ModuleType = type(sys)


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


def _named_tuple(
    name: str, fields: tuple[str, ...], defaults: tuple[object, ...], body: "dict[str, Any]", getter: "Any"
) -> type:
    listed = "".join([f"{field}, " for field in fields])
    # names of fields are our own, from the text of a class
    create = eval(f"lambda _cls, {listed}: _new(_cls, ({listed}))", {"_new": tuple.__new__})  # noqa: S307
    create.__defaults__ = defaults
    getters = {field: getter(index, field) for index, field in enumerate(fields)}
    shape = {"__slots__": (), "_fields": fields, "__match_args__": fields, "__new__": create, "__repr__": _shown}
    return type(name, (tuple,), {**shape, "_asdict": _as_dict, "_replace": _replaced, **getters, **body})


def _shown(self: "Any") -> str:
    return f"{type(self).__name__}({', '.join(f'{field}={value!r}' for field, value in _as_dict(self).items())})"


def _as_dict(self: "Any") -> "dict[str, object]":
    return dict(zip(self._fields, self, strict=True))


def _replaced(self: "Any", **changes: object) -> object:
    made = tuple.__new__(type(self), map(changes.pop, self._fields, self))
    if changes:
        raise ValueError(f"no such fields: {', '.join(changes)}")
    return made


def _typing() -> ModuleType:
    from _collections import _tuplegetter as getter  # type: ignore[import-not-found] # pyright: ignore

    class Fields(type):
        """Makes a class with annotations into a named tuple, as `typing.NamedTuple` does."""

        def __new__(cls, name: str, _: tuple[type, ...], body: "dict[str, Any]") -> type:
            fields = tuple(body.pop("__annotations__", {}))
            defaults = tuple([body.pop(field) for field in fields if field in body])
            return _named_tuple(name, fields, defaults, body, getter)

    hint = _Hint()
    module = ModuleType("typing")
    module.__dict__.update(
        TYPE_CHECKING=False,
        NamedTuple=type.__new__(Fields, "NamedTuple", (), {}),
        Protocol=_Shape,
        TypedDict=_Shape,
        __getattr__=lambda _: hint,
    )
    return module


def _collections_abc() -> ModuleType:
    package, module = ModuleType("collections"), ModuleType("collections.abc")
    package.__dict__.update(abc=module)
    module.__dict__.update(__getattr__=sys.modules["typing"].__getattr__)
    sys.modules["collections"] = package
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


def _ctypes() -> ModuleType:
    import _ctypes as bare

    class Int(bare._SimpleCData):  # type: ignore[type-arg]
        _type_ = "i"

    class Char(bare._SimpleCData):  # type: ignore[type-arg]
        _type_ = "c"

    class Function(bare.CFuncPtr):
        _flags_ = bare.FUNCFLAG_CDECL | bare.FUNCFLAG_USE_ERRNO
        _restype_ = Int

    class Library:
        """A loaded library (None: what this process has loaded), whose functions return `int` and keep errno."""

        def __init__(self, name: "Any", *, use_errno: bool) -> None:
            assert use_errno
            self._handle = bare.dlopen(name, 0)

        def __getattr__(self, name: str) -> object:
            try:
                return Function(bare.dlsym(self._handle, name))
            except OSError as error:
                raise AttributeError(str(error)) from None

    def create_string_buffer(size: int) -> object:
        return (Char * size)()

    module = ModuleType("ctypes")
    module.__dict__.update(CDLL=Library, create_string_buffer=create_string_buffer, get_errno=bare.get_errno)
    return module


def lighten() -> None:
    """Put the stand-ins in place, for what is imported from here on. What an interpreter lacks stays as it is."""
    for name, make in {"typing": _typing, "signal": _signal, "socket": _socket, "ctypes": _ctypes}.items():
        if name not in sys.modules and (name != "typing" or sys.version_info < (3, 14)):
            # from 3.14 on a class tells of its annotations in another way
            try:
                sys.modules[name] = make()
            except ImportError:
                continue
            if name == "typing" and "collections" not in sys.modules:  # the real one needs the real collections
                sys.modules["collections.abc"] = _collections_abc()
