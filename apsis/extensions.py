"""Classes that users bring: found by dotted path, by a short name of the config, or by an entry point.

Whatever is wrong with one (it cannot be imported, is no class, has another base, takes other keys, raises) is an
ExtensionError that names the class and the remedy; whoever reads a job makes a finding of it, and nothing else is hurt.
"""

import functools
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from apsis.definitions.nearest import did_you_mean
from apsis.errors import ApsisError

C = TypeVar("C")

#: the kinds of class; `<kind>_types` is their key in the config, `apsis.<kind>s` their group of entry points
KINDS: Final = ("program", "schedule", "condition", "action")

_WORD: Final = r"[^\W\d]\w*"
#: `package.module.Class`, or `package.module:Outer.Inner` for a class within another
DOTTED: Final = re.compile(rf"{_WORD}(?:\.{_WORD})*(?:\.{_WORD}|:{_WORD}(?:\.{_WORD})*)")
_LONGEST: Final = 300

#: seconds that importing a module, or making an instance, may take
PATIENCE: Final = 10.0

#: short names of the config, by kind; set once, where the process reads its config
_aliases: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
#: whether a class is imported as soon as a job that names it is read
_imports: list[bool] = [True]


class ExtensionError(ApsisError):
    """A class that a user brought cannot be used."""

    code = "extension"

    def __init__(self, name: str, why: str, hint: str = "") -> None:
        super().__init__(f"{name}: {why}", hint=hint, loc=name)
        self.name = name


class _TooLong(BaseException):
    """A user's code takes too long; no `except Exception` of theirs may stop it."""


def configure(aliases: Mapping[str, Mapping[str, str]], *, imports: bool = True) -> None:
    """Set the short names of this process, by kind, and look for entry points anew.

    Called at the edge of each process that reads jobs, with what its config says. Without `imports` a program's class
    is taken on trust: the loader has looked at it, and a service must not be held up by what it does.
    """
    _imports[:] = [imports]
    for kind in KINDS:
        _aliases[kind] = dict(aliases.get(kind, {}))
    _entry_points.cache_clear()


def short_names(kind: str) -> list[str]:
    """Return the names that the config and installed packages give to classes of a kind, sorted."""
    return sorted({**_entry_points(kind), **_aliases[kind]})


def target(name: str, kind: str) -> str | None:
    """Return what a `type` of a job file leads to: a dotted path; None where it is neither that nor a known name.

    A short name of the config wins over an entry point of the same name: the one who runs the installation decides.
    """
    found = _aliases[kind].get(name) or _entry_points(kind).get(name)
    if found is None and len(name) <= _LONGEST and DOTTED.fullmatch(name):
        found = name
    return found


def imports_classes() -> bool:
    """Return whether what a job names is imported when the job is read."""
    return _imports[0]


def load_class(name: str, base: type[C], kind: str) -> type[C]:
    """Return the class that a `type` of a job file means; it is a `base` that can be instantiated.

    Raises:
        ExtensionError: there is no such class, or it is none that can be used here.
    """
    path = target(name, kind)
    if path is None:
        raise ExtensionError(
            name,
            f"is no {kind} type{did_you_mean(name, short_names(kind))}",
            f"write package.module.Class, or name it under `{kind}_types` in apsis.yaml",
        )
    found = _attribute(name, path)
    public = f"apsis.{base.__name__}"
    if not isinstance(found, type):
        raise ExtensionError(name, f"is {_article(type(found).__name__)}, not a class", f"name a class on {public}")
    if not issubclass(found, base):
        raise ExtensionError(name, f"is not derived from {public}", f"write `class {found.__name__}({public}):`")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
        raise ExtensionError(name, f"lacks what {public} asks of it: {missing}", "define it in the class")
    return found


def check_keys(kind: type[Any], keys: Mapping[str, Any], name: str = "") -> None:
    """Check that a class can be made of these keys, without making it; raises ExtensionError.

    A class with a `from_jso` looks at its keys itself, so for one there is nothing to check.
    """
    name = name or kind.__name__
    if _reads_itself(kind):
        return
    try:
        signature = inspect.signature(kind)
    except (TypeError, ValueError) as error:
        raise ExtensionError(name, f"its __init__ has no signature: {error}", "write __init__ in Python") from None
    params = signature.parameters.values()
    positional = [each.name for each in params if each.kind is inspect.Parameter.POSITIONAL_ONLY]
    if positional:
        raise ExtensionError(
            name, f"takes {', '.join(positional)} by position only", "keys are given by name: leave out the `/`"
        )
    known = [each.name for each in params if each.kind not in _GATHERING]
    if not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in params):
        for key in keys:
            if key not in known:
                takes = f"it takes: {', '.join(known)}" if known else "it takes none"
                raise ExtensionError(name, f"takes no key {key!r}{did_you_mean(key, known)}", takes)
    missing = [
        each.name
        for each in params
        if each.default is inspect.Parameter.empty and each.kind not in _GATHERING and each.name not in keys
    ]
    if missing:
        raise ExtensionError(name, f"needs the key {missing[0]!r}", "add it, or give it a default in __init__")


def make(kind: type[C], keys: Mapping[str, Any], name: str = "") -> C:
    """Return an instance: of `from_jso(keys)` where the class has it, else of the keys as keyword arguments.

    Raises:
        ExtensionError: the keys do not fit, or the class raises.
    """
    name = name or kind.__name__
    check_keys(kind, keys, name)
    reads: Any = getattr(kind, "from_jso", None)
    try:
        with _limited():
            made: Any = reads(dict(keys)) if _reads_itself(kind) else kind(**keys)
    except _TooLong:
        raise ExtensionError(name, f"takes more than {PATIENCE:g} s to be made", _PUT_OFF) from None
    except Exception as error:
        raise ExtensionError(name, f"refuses its keys: {told(error)}") from error
    if not isinstance(made, kind):
        raise ExtensionError(name, f"from_jso gives {_article(type(made).__name__)}", f"return a {kind.__name__}")
    return made


def told(error: BaseException) -> str:
    """Return an error of a user's code on one line: what, and where in their file it was raised."""
    import traceback

    text = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [each for each in frames if not each.filename.startswith("<") and each.filename != __file__]
    return f"{text} ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else text


_PUT_OFF: Final = "do what takes long when the run has begun, not before"
_GATHERING: Final = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def _reads_itself(kind: type[Any]) -> bool:
    return callable(getattr(kind, "from_jso", None))


def _attribute(name: str, path: str) -> Any:
    """Return what stands at a dotted path; raises ExtensionError."""
    module, colon, inner = path.partition(":")
    if not colon:
        module, _, inner = path.rpartition(".")
    shown = name if name == path else f"{name} ({path})"
    if not DOTTED.fullmatch(path):
        raise ExtensionError(shown, "is no path of a class", "write package.module.Class")
    try:
        with _limited():
            found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise ExtensionError(
                shown, f"there is no module {error.name!r}", "install its package where Apsis is installed"
            ) from None
        raise ExtensionError(shown, f"importing {module} fails: {told(error)}", "mend the module") from error
    except _TooLong:
        raise ExtensionError(shown, f"importing {module} takes more than {PATIENCE:g} s", _PUT_OFF) from None
    except (Exception, SystemExit) as error:  # a module of a user's may do anything, sys.exit() too
        raise ExtensionError(shown, f"importing {module} fails: {told(error)}", "mend the module") from error
    for word in inner.split("."):
        try:
            found = getattr(found, word)
        except Exception as error:  # noqa: BLE001  a module may have a __getattr__ that raises anything
            near = did_you_mean(word, [each for each in dir(found) if isinstance(getattr(found, each, None), type)])
            why = "" if isinstance(error, AttributeError) else f": {told(error)}"
            raise ExtensionError(
                shown, f"module {module} has no {word!r}{near}{why}", "name a class of that module"
            ) from None
    return found


@contextmanager
def _limited() -> Iterator[None]:
    """End a user's code that does not come to an end; in the main thread alone, which signals reach."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def too_long(_signum: int, _frame: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, too_long)
    left, each = signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, each)
        signal.signal(signal.SIGALRM, before)


@functools.cache
def _entry_points(kind: str) -> dict[str, str]:
    """Return the names that installed packages give to their classes of a kind, with their dotted paths."""
    # 10 ms that only those pay who meet a name that is no type of Apsis's own
    from importlib.metadata import entry_points

    found = entry_points(group=f"apsis.{kind}s")
    return {each.name: each.value.split("[")[0].strip() for each in found}


def _article(word: str) -> str:
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"
