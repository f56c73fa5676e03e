"""Folders are rooms: between the rooms of one house no imports go round in a circle."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: the folder that a package's dotted name begins in
ROOTS = {"apsis": ROOT, "apsis_bus": ROOT / "bus", "apsis_services": ROOT / "services", "apsis_web": ROOT / "web"}


def houses() -> Iterator[Path]:
    """Yield each package that has at least two packages in it; the ground's own have their ranks in `test_floors`."""
    for name, root in ROOTS.items():
        for house in [root / name, *sorted((root / name).rglob("*"))]:
            if len(rooms(house)) > 1 and house != ROOT / "apsis":
                yield house


def rooms(house: Path) -> list[Path]:
    """Return the packages that lie directly in one."""
    return sorted(path.parent for path in house.glob("*/__init__.py"))


def dotted(path: Path) -> str:
    """Return a package's name as an import has it."""
    root = next(root for name, root in ROOTS.items() if (root / name) in (path, *path.parents))
    return ".".join(path.relative_to(root).parts)


def named(path: Path) -> Iterator[str]:
    """Yield the full name of each module that a file imports when it is loaded."""
    tree = ast.parse(path.read_text(), str(path))
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("house", list(houses()), ids=dotted)
def test_the_rooms_of_a_house_import_each_other_one_way(house: Path) -> None:
    arrows: dict[str, set[str]] = {}
    for room in rooms(house):
        found = {name for path in room.rglob("*.py") for name in named(path)}
        others = [other for other in rooms(house) if other != room]
        arrows[room.name] = {
            other.name
            for other in others
            if any(name == dotted(other) or name.startswith(f"{dotted(other)}.") for name in found)
        }
    try:
        list(TopologicalSorter(arrows).static_order())
    except CycleError as error:
        pytest.fail(f"in {dotted(house)} these import each other: {' <- '.join(error.args[1])}")
