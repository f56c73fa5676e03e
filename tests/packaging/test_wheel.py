"""What is installed is whole: the wheel carries the built page and the demo, and works without this checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STATIC = "web/apsis_web/static"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the project's files and the page as it is built here."""
    source = tmp_path_factory.mktemp("source")
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, check=True, capture_output=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    if not (ROOT / STATIC / "index.html").exists():
        pytest.fail("the page is not built: run scripts/setup")
    shutil.copytree(ROOT / STATIC, source / STATIC)
    found = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", found, source],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return next(found.glob("apsis-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked as an installation would, beside what it needs."""
    place = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    return place


def test_the_wheel_carries_the_built_page_and_the_types_of_all_floors(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())

    assert "apsis_web/static/index.html" in names
    assert any(name.startswith("apsis_web/static/assets/") and name.endswith(".js") for name in names)
    assert {f"{floor}/py.typed" for floor in ("apsis", "apsis_bus", "apsis_services", "apsis_web")} <= names
    assert not {name for name in names if "node_modules" in name or name.startswith(("web/", "bus/", "tests/"))}


def test_a_demo_home_is_made_from_the_installed_wheel_with_every_job(installed: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    script = "import apsis, sys; from apsis.cli.control import main; print(apsis.__file__); sys.exit(main())"

    done = subprocess.run(
        [sys.executable, "-P", "-c", script, "init", str(home), "--demo"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(str(installed)), "it was not the wheel that answered"
    jobs = {str(path.relative_to(ROOT / "apsis/demo")) for path in (ROOT / "apsis/demo/jobs").rglob("*.yaml")}
    assert len(jobs) >= 14
    assert jobs <= {str(path.relative_to(home)) for path in home.rglob("*.yaml")}
    assert (home / "data/sales.csv").read_bytes() == (ROOT / "apsis/demo/data/sales.csv").read_bytes()
