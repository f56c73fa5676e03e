"""The texts of a letter: templates of its action expanded, or what Apsis writes where there are none."""

from datetime import datetime
from pathlib import Path
from typing import Any

from apsis.calendars.finder import Calendars
from apsis.programs.templated import has_template
from apsis.times import parse_time
from apsis_services.alerts.letters import Letter
from apsis_services.alerts.orders import Order

#: characters of output that a template is given
_TAIL = 64 * 1024


def expanded(order: Order, text: str, key: str) -> str:
    """Return a text of the action with its templates expanded; raises BindError."""
    if not has_template(text):
        return text.removesuffix("\n")
    from apsis.jobs.templates import Names, expand_text

    letter = order.letter
    due: datetime | None = parse_time(letter.schedule_time) if letter.schedule_time else None
    names = Names(
        args=letter.args,
        run_id=letter.run_id,
        job_id=letter.job_id,
        schedule_time=due,
        calendars=Calendars(Path(order.job_dir) / "calendars"),
        facts={**letter.facts, "output": output_of(order)[-_TAIL:]},
    )
    return expand_text(text, key, names)


def expanded_in(order: Order, value: Any, key: str) -> Any:
    """Return a value in which every text is expanded; raises BindError."""
    if isinstance(value, str):
        return expanded(order, value, key)
    if isinstance(value, dict):
        return {name: expanded_in(order, each, f"{key}.{name}") for name, each in value.items()}
    if isinstance(value, list):
        return [expanded_in(order, each, f"{key}[{index}]") for index, each in enumerate(value)]
    return value


def output_of(order: Order) -> str:
    """Return the end of what the run printed, as text."""
    return (order.output or b"").decode("utf-8", "replace")


def event_of(letter: Letter) -> dict[str, Any]:
    """Return the event as receivers are given it, as JSON."""
    facts = letter.facts
    return {
        "id": letter.event_id,
        "event": facts["event"],
        "run_id": letter.run_id,
        "job_id": letter.job_id,
        "args": letter.args,
        "schedule_time": letter.schedule_time,
        **{key: value for key, value in facts.items() if key not in ("event_id", "event")},
    }


def headline(letter: Letter) -> str:
    """Return the one line that says what has happened."""
    facts = letter.facts
    if facts["event"] == "summary":
        return f"[apsis] {facts['reason']}"
    args = " ".join(f"{name}={value}" for name, value in letter.args.items())
    what = f"{letter.job_id} {args}".strip()
    return f"[apsis] {facts['state']}: {what[:200]} ({letter.run_id})"


def account(letter: Letter) -> str:
    """Return what Apsis writes of an end, on several lines."""
    facts = letter.facts
    if facts["event"] == "summary":
        return "\n".join([f"{facts['reason']}.", "", *facts["lines"], "", str(facts["url"])]).rstrip()
    how = facts["reason"] or (f"exit {facts['exit_code']}" if facts["exit_code"] is not None else "")
    rows = {
        "Job": letter.job_id,
        "Args": ", ".join(f"{name}={value}" for name, value in letter.args.items()),
        "Run": letter.run_id,
        "State": facts["state"],
        "Why": how,
        "Due": letter.schedule_time,
        "Started": facts["started"],
        "Ended": facts["ended"],
        "Took": f"{facts['elapsed']:.1f} s" if facts["elapsed"] is not None else "",
        "Host": facts["host"],
        "See": facts["url"],
    }
    return "\n".join(f"{name + ':':<9}{value}" for name, value in rows.items() if value)
