"""A user's class is found, or it is said what is wrong with it and what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from apsis import extensions
from apsis.actions.base import Action
from apsis.extensions import ExtensionError, check_keys, load_class, make

Writes = Callable[[str, str], Path]

GOOD = """
import apsis

class Beep(apsis.Action):
    def __init__(self, times: int = 1, *, tone: str = "a"):
        if times < 0:
            raise ValueError("times is negative")
        self.times, self.tone = times, tone

    def act(self, event):
        pass

class Outer:
    class Inner(Beep):
        pass

class Old(Beep):
    @classmethod
    def from_jso(cls, jso):
        return cls(int(jso.pop("often")))

class Odd(Beep):
    @classmethod
    def from_jso(cls, jso):
        return 7

class Positional(Beep):
    def __init__(self, times, /):
        pass

class Anything(Beep):
    def __init__(self, **keys):
        self.keys = keys

class Unfinished(apsis.Action):
    pass

class Stranger:
    pass

number = 7
"""


def refused(name: str) -> str:
    with pytest.raises(ExtensionError) as caught:
        load_class(name, Action, "action")
    assert caught.value.hint
    return f"{caught.value.message}; {caught.value.hint}"


def test_a_class_is_found_by_its_dotted_path(module: Writes) -> None:
    module("beeps", GOOD)

    assert load_class("beeps.Beep", Action, "action").__name__ == "Beep"
    assert load_class("beeps:Outer.Inner", Action, "action").__qualname__ == "Outer.Inner"


def test_a_class_is_found_by_a_short_name_of_the_config(module: Writes) -> None:
    module("beeps", GOOD)
    extensions.configure({"action": {"beep": "beeps.Beep"}})

    assert load_class("beep", Action, "action").__name__ == "Beep"
    assert extensions.short_names("action") == ["beep"]
    assert extensions.target("beep", "schedule") is None


def test_a_class_is_found_by_an_entry_point(module: Writes) -> None:
    file = module("beeps", GOOD)
    about = file.parent / "beeps-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: beeps\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[apsis.actions]\nbeeper = beeps:Beep\n")
    extensions.configure({})

    assert load_class("beeper", Action, "action").__name__ == "Beep"


def test_a_short_name_of_the_config_wins_over_an_entry_point(module: Writes) -> None:
    test_a_class_is_found_by_an_entry_point(module)
    extensions.configure({"action": {"beeper": "beeps:Outer.Inner"}})

    assert load_class("beeper", Action, "action").__name__ == "Inner"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere_at_all.Class", "there is no module 'nowhere_at_all'; install its package"),
        ("beeps.Bep", "module beeps has no 'Bep' (did you mean 'Beep'?)"),
        ("beeps.number", "is an int, not a class; name a class on apsis.Action"),
        ("beeps.Stranger", "is not derived from apsis.Action; write `class Stranger(apsis.Action):`"),
        ("beeps.Unfinished", "lacks what apsis.Action asks of it: act"),
        ("bep", "is no action type (did you mean 'beep'?); write package.module.Class"),
        ("beeps..Beep", "is no action type"),
        ("beeps.Beep()", "is no action type"),
        ("a." * 400 + "b", "is no action type"),
    ],
)
def test_a_class_that_cannot_be_used_is_refused_with_the_remedy(module: Writes, name: str, said: str) -> None:
    module("beeps", GOOD)
    extensions.configure({"action": {"beep": "beeps.Beep"}})

    assert said in refused(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import not_installed_here", "ModuleNotFoundError: No module named 'not_installed_here'"),
        ("def f(:", "SyntaxError"),
        ("def __getattr__(name): raise RuntimeError('no ' + name)", "RuntimeError: no Beep"),
    ],
)
def test_a_module_that_raises_when_it_is_imported_is_reported(module: Writes, text: str, said: str) -> None:
    module("broken", text)

    assert said in refused("broken.Beep")


def test_a_module_that_raises_says_where(module: Writes) -> None:
    file = module("broken", "\n\n1 / 0")

    assert f"({file}:3)" in refused("broken.Beep")


@pytest.mark.parametrize(
    ("name", "keys", "said"),
    [
        ("Beep", {"tims": 1}, "takes no key 'tims' (did you mean 'times'?)"),
        ("Beep", {"times": -1}, "refuses its keys: ValueError: times is negative"),
        ("Positional", {"times": 1}, "takes times by position only"),
        ("Old", {}, "refuses its keys: KeyError: 'often'"),
        ("Odd", {}, "from_jso gives an int"),
    ],
)
def test_keys_that_a_class_does_not_take_are_refused(
    module: Writes, name: str, keys: dict[str, object], said: str
) -> None:
    module("beeps", GOOD)

    with pytest.raises(ExtensionError) as caught:
        make(load_class(f"beeps.{name}", Action, "action"), keys)

    assert said in caught.value.message


def test_a_key_that_a_class_needs_is_named(module: Writes) -> None:
    module("beeps", "import apsis\nclass B(apsis.Action):\n def __init__(self, tone): pass\n def act(self, e): pass")

    with pytest.raises(ExtensionError, match="needs the key 'tone'"):
        check_keys(load_class("beeps.B", Action, "action"), {})


def test_keys_are_keyword_arguments_and_from_jso_reads_them_itself(module: Writes) -> None:
    module("beeps", GOOD)
    made: dict[str, object] = {}
    for name, keys in (("Beep", {"tone": "b"}), ("Old", {"often": "5"}), ("Anything", {"x": 1, "y": 2})):
        made[name] = make(load_class(f"beeps.{name}", Action, "action"), keys)

    assert vars(made["Beep"]) == {"times": 1, "tone": "b"}
    assert vars(made["Old"]) == {"times": 5, "tone": "a"}
    assert vars(made["Anything"]) == {"keys": {"x": 1, "y": 2}}


@pytest.mark.parametrize(
    "text", ["while True: pass", "import time\nwhile True:\n try: time.sleep(60)\n except Exception: pass"]
)
def test_a_module_that_does_not_come_to_an_end_is_given_up(
    module: Writes, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(extensions, "PATIENCE", 0.2)
    module("endless", text)

    assert "importing endless takes more than 0.2 s" in refused("endless.Beep")


def test_a_class_that_does_not_come_to_an_end_is_given_up(module: Writes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extensions, "PATIENCE", 0.2)
    module(
        "slow",
        "import apsis\nclass B(apsis.Action):\n def __init__(self):\n  while True: pass\n def act(self, e): pass",
    )

    with pytest.raises(ExtensionError, match=r"takes more than 0.2 s to be made"):
        make(load_class("slow.B", Action, "action"), {})
