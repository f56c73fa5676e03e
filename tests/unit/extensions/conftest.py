"""Modules of users, written to a folder and importable while a test lasts."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apsis import extensions

#: writes a module of this name and text, and returns its file
Writes = Callable[[str, str], Path]


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Writes]:
    folder = tmp_path / "site"
    folder.mkdir()
    known = set(sys.modules)
    sys.path.insert(0, str(folder))

    def write(name: str, text: str) -> Path:
        path = folder / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    yield write
    sys.path.remove(str(folder))
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]
    sys.path_importer_cache.pop(str(folder), None)
    extensions.configure({})
