"""How a run and a job look as words: pure functions from their JSON to cells."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from apsis.times import parse_time

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Look:
    """How a state is shown: glyph, the same in ASCII, and a colour."""

    glyph: str
    ascii: str
    color: str


LOOKS: Final[Mapping[str, Look]] = {
    "new": Look("◌", ".", "grey"),
    "scheduled": Look("◷", "o", ""),
    "waiting": Look("‖", "=", "magenta"),
    "starting": Look("▷", ">", "cyan"),
    "running": Look("▶", "*", "blue"),
    "stopping": Look("■", "v", "yellow"),
    "success": Look("✔", "+", "green"),
    "failure": Look("✖", "X", "red"),
    "error": Look("⚠", "!", "magenta"),
    "skipped": Look("⊘", "-", "grey"),
}
FINISHED: Final = ("success", "failure", "error", "skipped")
_STARTED: Final = ("running", "starting")


def state_cell(run: Json, *, glyphs: bool) -> str:
    """Return glyph and word, with the exit status of a failure."""
    look = LOOKS.get(run["state"], Look("?", "?", ""))
    code = (run.get("exit") or {}).get("code")
    status = f" {code}" if run["state"] == "failure" and code is not None else ""
    away = " (unreachable)" if run.get("reachable") is False else ""
    return f"{look.glyph if glyphs else look.ascii} {run['state']}{status}{away}"


def args_cell(args: Mapping[str, str]) -> str:
    """Return args as they are typed."""
    return " ".join(f"{name}={_quoted(value)}" for name, value in args.items())


def time_cell(text: str | None, now: datetime, *, full: bool = False) -> str:
    """Return a time in this machine's zone: the time of day for today, with the date otherwise."""
    if not text:
        return ""
    local = parse_time(text).astimezone()
    if full:
        return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"
    return f"{local:%H:%M:%S}" if local.date() == now.astimezone().date() else f"{local:%m-%d %H:%M:%S}"


def start_time(run: Json) -> str | None:
    """Return when the program started."""
    stamps = run.get("timestamps") or {}
    return next((stamps[state] for state in _STARTED if state in stamps), None)


def end_time(run: Json) -> str | None:
    """Return when the run finished."""
    stamps = run.get("timestamps") or {}
    return next((stamps[state] for state in FINISHED if state in stamps), None)


def elapsed_cell(run: Json, now: datetime) -> str:
    """Return how long the program ran, or has run; for what is due later, how long until then."""
    if run.get("elapsed") is not None:
        return duration(run["elapsed"])
    start = (run.get("timestamps") or {}).get("running")
    if start and run["state"] not in FINISHED:
        return duration((now - parse_time(start)).total_seconds())
    due = run.get("schedule_time")
    if due and run["state"] == "scheduled" and parse_time(due) > now:
        return f"in {duration((parse_time(due) - now).total_seconds())}"
    return ""


def duration(seconds: float) -> str:
    """Return `0:41`, `3:12`, `1:02:03` or `2 d 01:02`."""
    whole = max(0, int(seconds))
    days, hours, minutes, rest = whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{days} d {hours:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def due_time(run: Json) -> str | None:
    """Return the time by which a run is listed: its schedule time, else its first timestamp."""
    stamps = run.get("timestamps") or {}
    return run.get("schedule_time") or min(stamps.values(), default=None)


def utc_now() -> datetime:
    """Return the time; the one place of the command line that asks the clock for what is shown."""
    return datetime.now(UTC)


def shown_zone(now: datetime) -> str:
    """Return the name of the zone in which times are shown."""
    return now.astimezone().tzname() or "local"


def in_middle(text: str, width: int, mark: str = "…") -> str:
    """Return a text cut in its middle to a width, as both ends of a job's name tell jobs apart."""
    if len(text) <= width or width < 5:
        return text[: max(width, 0)] if len(text) > width else text
    left = (width - 1) // 2
    return f"{text[:left]}{mark}{text[len(text) - (width - 1 - left) :]}"


def stream_names(run: Json) -> list[str]:
    """Return the names of a run's outputs, known or to be expected."""
    if run.get("outputs"):
        return sorted(run["outputs"], reverse=True)
    return ["stdout", "stderr"] if (run.get("program") or {}).get("streams") == "split" else ["output"]


def _quoted(value: str) -> str:
    return f"'{value}'" if not value or any(c.isspace() or c in "'\"" for c in value) else value
