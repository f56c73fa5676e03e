"""`apsis pause`, `apsis resume` and `--since` as they are typed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from apsis.cli import pausing
from apsis.cli.control import group
from apsis.cli.ctl.since import check_since
from apsis.cli.edge import run
from apsis.config import load_config
from apsis.errors import BadRequest, ConfigError, Conflict
from apsis.home import Home
from apsis.times import parse_time
from apsis.times.rules import rules_version
from apsis.times.since import BadSince, read_since

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
HELD = {"job_id": None, "by": "user:ann", "at": "2026-06-30T12:00:00.000000Z", "reason": ""}


class Known:
    """A client that remembers what it was asked."""

    def __init__(self, paused: Any = None) -> None:
        self.asked: list[tuple[str, str | None, str]] = []
        self.paused = paused

    def pause(self, job_id: str | None, reason: str) -> dict[str, Any]:
        if job_id == "twice":
            raise Conflict("twice is paused by bob already")
        self.asked.append(("pause", job_id, reason))
        return {"job_id": job_id, "paused": HELD, "seq": 1}

    def resume(self, job_id: str | None, reason: str) -> dict[str, Any]:
        self.asked.append(("resume", job_id, reason))
        return {"job_id": job_id, "paused": self.paused, "seq": 1}


def change(client: Known, verb: str, *jobs: str, everything: bool = False) -> int:
    return pausing.change_all(client, verb, jobs, everything=everything, reason="why", form="text")  # type: ignore[arg-type]


def test_each_job_is_paused_and_a_refusal_stops_none_of_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    client = Known()
    assert change(client, "pause", "a", "twice", "b", "a") != 0
    assert client.asked == [("pause", "a", "why"), ("pause", "b", "why")]
    told = capsys.readouterr()
    assert told.out.splitlines() == ["paused  a", "paused  b"]
    assert "twice is paused by bob already" in told.err


def test_everything_must_be_said_in_so_many_words() -> None:
    client = Known()
    assert change(client, "pause", everything=True) == 0
    assert client.asked == [("pause", None, "why")]
    for jobs, everything in (((), False), (("a",), True)):
        with pytest.raises(BadRequest, match="name jobs, or --all"):
            change(client, "pause", *jobs, everything=everything)


def test_resuming_a_job_while_everything_is_paused_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    change(Known(paused=HELD), "resume", "a")
    assert "but everything is paused by user:ann since" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "ago"),
    [("now", 0), ("Now ", 0), ("2h", 7200), (90, 90), ("1 day", 86_400), ("2026-06-30T11:00:00Z", 3600),
     ("2026-06-30T13:30:00+02:00", 1800)],
)  # fmt: skip
def test_since_is_now_how_long_ago_or_a_time(given: str | float, ago: float) -> None:
    assert read_since(given, NOW) == NOW - timedelta(seconds=ago)


def test_with_a_zone_since_is_read_as_people_type_times() -> None:
    assert read_since("yesterday 18:00", NOW, UTC) == datetime(2026, 6, 29, 18, tzinfo=UTC)
    assert read_since("-90m", NOW, UTC) == NOW - timedelta(minutes=90)


@pytest.mark.parametrize("given", ["soon", "2026-06-30T11:00:00", "2026-07-01T00:00:00Z", -5, "1000 years", True])
def test_what_is_no_since_is_refused_with_the_forms(given: Any) -> None:
    with pytest.raises(BadSince) as caught:
        read_since(given, NOW)
    assert "how long ago" in str(caught.value.hint)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    assert run(group, "apsisctl", ["init", str(made.root)]) == 0
    return made


def test_init_since_leaves_the_time_for_the_first_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = Home(tmp_path / "home")
    assert run(group, "apsisctl", ["init", str(home.root), "--since", "2h"]) == 0
    told = parse_time(home.since.read_text().strip())
    assert timedelta(hours=2) <= datetime.now(UTC) - told < timedelta(hours=2, minutes=5)
    assert "do not run" in capsys.readouterr().err
    assert run(group, "apsisctl", ["init", str(home.root), "--since", "2099-01-01"]) != 0
    assert "lies ahead" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["now", "2h", "3600", "2026-01-01T00:00:00Z", "'2026-01-01T00:00:00Z'", "null"])
def test_the_configuration_takes_since_quoted_or_not(home: Home, text: str) -> None:
    home.config.write_text(f"schedule: {{since: {text}}}\n")
    check_since(home, load_config(home))


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00", "2099-01-01T00:00:00Z", "[1]", "soon", "2026-01-01"])
def test_the_configuration_refuses_a_since_that_is_none_and_names_its_place(home: Home, text: str) -> None:
    home.config.write_text(f"schedule: {{since: {text}}}\n")
    with pytest.raises(ConfigError, match="since") as caught:
        check_since(home, load_config(home))
    assert caught.value.loc in {"schedule.since", ""}


def test_the_rules_of_the_zones_have_a_version() -> None:
    assert 4 <= len(rules_version()) <= 40


def test_without_a_name_the_version_of_the_rules_is_a_hash_of_them(tmp_path: Path, monkeypatch: Any) -> None:
    import shutil
    import zoneinfo

    for name in ("UTC", "Europe/Berlin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(f"/usr/share/zoneinfo/{name}", tmp_path / name)
    monkeypatch.setattr(zoneinfo, "TZPATH", (str(tmp_path),))
    first = rules_version()
    (tmp_path / "Europe/Berlin").write_bytes(b"TZif2 other")
    assert len({first, rules_version(), "", "2025b"}) == 4
    (tmp_path / "tzdata.zi").write_text("# version 2031a\n# more\n")
    assert rules_version() == "2031a"
    monkeypatch.setattr(zoneinfo, "TZPATH", ())
    import tzdata

    assert rules_version() == tzdata.IANA_VERSION
