"""Fixtures: `apsis` (a whole installation, for all tests of a module), `ask` (the two commands, as JSON and as text).

A module says in JOBS what jobs there are, and in CONFIG what stands in `apsis.yaml`.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.installation import Installation


class Asking:
    """Asks an installation by its commands, as a person does."""

    def __init__(self, apsis: Installation) -> None:
        self.apsis = apsis

    def why(self, *words: str) -> dict[str, Any]:
        """Return the answer of `apsis why ... -o json`."""
        found: dict[str, Any] = json.loads(self.apsis.command("apsis", "why", *words, "-o", "json"))
        return found

    def next(self, *words: str) -> Any:
        """Return what `apsis next ... -o json` prints."""
        return json.loads(self.apsis.command("apsis", "next", *words, "-o", "json"))

    def text(self, *words: str) -> str:
        """Return what `apsis ...` prints for people."""
        return self.apsis.command("apsis", *words)


def kinds(reasons: list[dict[str, Any]]) -> list[str]:
    """Return the kinds of reasons with those below them, from the top."""
    return [kind for each in reasons for kind in (each["kind"], *kinds(each.get("because", [])))]


def texts(reasons: list[dict[str, Any]]) -> str:
    """Return the sentences of reasons with those below them."""
    return "\n".join(line for each in reasons for line in (each["text"], texts(each.get("because", []))))


@pytest.fixture(scope="module")
def apsis(request: pytest.FixtureRequest) -> Iterator[Installation]:
    """One installation for the tests of a module."""
    installation = Installation(request.module.JOBS)
    config = getattr(request.module, "CONFIG", "")
    make = installation.control

    def control(*words: str) -> str:
        said = make(*words)
        if words[0] == "init":
            with installation.home.joinpath("apsis.yaml").open("a") as file:
                file.write(config)
        return said

    installation.control = control  # type: ignore[method-assign]
    with installation:
        yield installation


@pytest.fixture
def ask(apsis: Installation) -> Asking:
    """Someone who asks."""
    return Asking(apsis)


@pytest.fixture
def below() -> Callable[[list[dict[str, Any]]], tuple[list[str], str]]:
    """Return the kinds and the sentences of reasons, down to the cause."""
    return lambda reasons: (kinds(reasons), texts(reasons))
