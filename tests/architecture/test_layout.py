"""The house keeps its rooms small, and speaks of Apsis alone."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 400


def tracked(*patterns: str) -> list[Path]:
    """Return the files that belong to the project (tracked, or new and not ignored)."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode != 0:
        pytest.fail(f"git cannot list the files: {found.stderr}")
    return [ROOT / name for name in found.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_source_file_has_grown_past_its_room() -> None:
    argued = "".join(path.read_text() for path in (ROOT / "docs/adr").glob("*.md"))
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked("*.py", "*.ts", "*.vue")
        if (lines := len(path.read_text().splitlines())) > LONGEST
    }

    assert {name: lines for name, lines in long.items() if name not in argued} == {}


def test_nothing_is_put_off() -> None:
    words = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX|raise NotImplemented" + r"Error)\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked("*.py", "*.ts", "*.vue", "scripts/*")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if words.search(line)
    ]

    assert found == []


def test_rooms_are_named_by_what_is_in_them() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "base_utils"}

    assert [str(path.relative_to(ROOT)) for path in tracked("*.py", "*.ts") if path.stem in vague] == []


def test_the_source_roots_of_the_floors_are_no_packages() -> None:
    assert [place for place in ("bus", "services", "web") if (ROOT / place / "__init__.py").exists()] == []


def test_no_cancellation_is_swallowed() -> None:
    """`asyncio.wait_for` of Python 3.11 takes a cancellation for nothing where what it waits for has just come."""
    call = "asyncio.wait" + "_for("
    found = [
        path for path in tracked("apsis/*.py", "bus/*.py", "services/*.py", "web/*.py") if call in path.read_text()
    ]

    assert [str(path.relative_to(ROOT)) for path in found] == []
