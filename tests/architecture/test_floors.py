"""Who may import whom: walks the source of every module, so that a forbidden import is named before it is run."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: floor: (where it lies, what of ours it may import)
FLOORS = {
    "apsis": ("apsis", {"apsis"}),
    "apsis_bus": ("bus/apsis_bus", {"apsis", "apsis_bus"}),
    "apsis_services": ("services/apsis_services", {"apsis", "apsis_bus", "apsis_services"}),
    "apsis_web": ("web/apsis_web", {"apsis", "apsis_bus", "apsis_web"}),
}
#: an outside library: the only places that may name it
AT_HOME = {
    "zmq": ("bus/apsis_bus",),
    "psutil": ("services/apsis_services",),
    "peewee": ("services/apsis_services",),
    "playhouse": ("services/apsis_services",),
    "sqlite3": ("services/apsis_services/scheduler", "services/apsis_services/alerts", "web/apsis_web/database.py"),
    "tornado": ("web/apsis_web",),
    "zstandard": ("services/apsis_services/store",),
    "click": ("apsis/cli",),
    "rich": ("apsis/cli",),
    "yaml": ("apsis/jobs", "apsis/config.py", "apsis/cli/ctl"),
    "jinja2": ("apsis/jobs",),
}
#: within the ground floor, low to high: a part may import its own rank and those below
RANKS = [
    {"errors", "home", "config", "failpoints", "addresses"},
    {"definitions", "extensions"},
    {"times"},
    {"calendars"},
    {"schedules", "programs", "conditions", "actions"},
    {"jobs"},
]
#: the words that every part of the ground may use: the states and the form of a run
GROUND_WORDS = {"apsis.runs.states", "apsis.runs.run"}
#: what lives as long as a run does must start from the standard library alone, with all that it imports
OUTLIVES_US = "apsis_services.supervisor.zygote.zygote"
#: what of the ground it may name: it needs the standard library alone too
OUTLIVES_GROUND = {"apsis.failpoints": "apsis/failpoints.py"}


def modules(place: str) -> list[Path]:
    """Return the Python files of a folder or of one file."""
    path = ROOT / place
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, full module name) of every import of a file, also of those inside functions."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides which floor it reaches"
            yield node.lineno, node.module or ""


def everything() -> Iterator[tuple[Path, int, str]]:
    """Yield each import of the four floors."""
    for place, _ in FLOORS.values():
        for path in modules(place):
            for line, name in imports(path):
                yield path.relative_to(ROOT), line, name


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floor_imports_only_what_lies_below_it(floor: str) -> None:
    place, allowed = FLOORS[floor]
    ours = set(FLOORS)

    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(place)
        for line, name in imports(path)
        if name.split(".")[0] in ours and name.split(".")[0] not in allowed
    ]

    assert wrong == []


def test_each_outside_library_stays_in_its_place() -> None:
    wrong = [
        f"{path}:{line} imports {name}; its place is {', '.join(AT_HOME[name.split('.')[0]])}"
        for path, line, name in everything()
        if name.split(".")[0] in AT_HOME and not str(path).startswith(AT_HOME[name.split(".")[0]])
    ]

    assert wrong == []


def test_the_ground_floor_has_floors_of_its_own() -> None:
    rank = {part: number for number, parts in enumerate(RANKS) for part in parts}
    wrong = []
    for path in modules("apsis"):
        part = path.relative_to(ROOT / "apsis").with_suffix("").parts[0]
        for line, name in imports(path):
            words = name.split(".")
            target = words[1] if words[0] == "apsis" and len(words) > 1 else None
            if name in GROUND_WORDS or target == "messages":
                continue
            if part in rank and target is not None and rank.get(str(target), 99) > rank[part]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")

    assert wrong == []


def test_what_outlives_us_needs_the_standard_library_alone() -> None:
    todo, seen, wrong = [OUTLIVES_US], set(), []
    while todo:
        name = todo.pop()
        path = ROOT / OUTLIVES_GROUND.get(name, f"services/{name.replace('.', '/')}.py")
        seen.add(name)
        for line, module in imports(path if path.exists() else path.with_suffix("") / "__init__.py"):
            if module.startswith("apsis_services.") or module in OUTLIVES_GROUND:
                todo += [module] if module not in seen else []
            elif module.split(".")[0] not in sys.stdlib_module_names:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}")

    assert wrong == []
    assert len(seen) > 3
