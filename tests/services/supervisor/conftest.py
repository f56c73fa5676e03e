"""`scene`: a home with hub and supervisor running; `bare_scene`: the same with nothing started yet."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


def _load() -> ModuleType:
    name = "supervisor_scene"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("scene.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture
def bare_scene() -> Iterator:
    scene = _load().Scene()
    yield scene
    scene.close()


@pytest.fixture
def scene(bare_scene):
    bare_scene.begin("hub")
    bare_scene.begin("supervisor")
    return bare_scene


@pytest.fixture
def user_scene() -> Iterator:
    """The whole as the ordinary user `nobody`; the test's own peers stay root."""
    if os.getuid() != 0:
        pytest.skip("not root: every test here runs as an ordinary user already")
    module = _load()
    python = module.python_for(65534)
    if python is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no interpreter that an ordinary user may execute")
    scene = module.Scene(65534, python)
    scene.begin("hub")
    scene.begin("supervisor")
    yield scene
    scene.close()
