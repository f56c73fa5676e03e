"""Ten thousand job files of the kinds that people write, each another one."""

from typing import Final

JOBS: Final = 10_000
#: jobs of which runs are made by hand, beside all others
BESIDE: Final = {f"beside{number}": "program: {type: no-op}\n" for number in range(8)}

_NIGHTLY: Final = """\
metadata:
  description: Load prices of group {n}.
  labels: [etl, group{group}]
params: [date]
schedule:
  type: daily
  tz: America/New_York
  calendar: Mon-Fri
  daytime: "{hour:02d}:{minute:02d}:00"
program:
  type: shell
  command: /opt/etl/load --group {n} --date {{{{ date }}}}
condition:
  - type: max_running
    count: 1
"""
_REPORT: Final = """\
params: [date, region]
schedule:
  - type: daily
    tz: UTC
    daytime: ["06:{minute:02d}:00", "18:{minute:02d}:00"]
    args: {{region: us}}
  - type: daily
    tz: Europe/London
    daytime: "07:{minute:02d}:00"
    args: {{region: eu}}
program:
  type: program
  argv: [/opt/report/make, --region, "{{{{ region }}}}", --number, "{n}"]
  timeout: {{duration: 3600}}
condition:
  - type: dependency
    job_id: {first}
successors: [{last}]
"""
_WEEKLY: Final = """\
schedule: {{type: cron, cron: '{minute} {hour} * * 1', tz: Asia/Tokyo}}
program: {{type: program, argv: [/bin/true, "{n}"]}}
retry: {{count: 2, delay: 60}}
"""
_BY_HAND: Final = """\
params: [date]
program: {{type: shell, command: 'echo {n} {{{{ date }}}}'}}
metadata: {{description: By hand {n}.}}
"""
_KINDS: Final = (*4 * [_NIGHTLY], *2 * [_REPORT], *2 * [_WEEKLY], *2 * [_BY_HAND])


def name(number: int) -> str:
    """Return the id of a job."""
    return f"many/{number // 100}/job{number}"


def text(number: int) -> str:
    """Return the file of a job."""
    tens = number // 10 * 10
    return _KINDS[number % 10].format(
        n=number, group=number % 50, hour=number % 24, minute=number % 60, first=name(tens), last=name(tens + 9)
    )


def ten_thousand() -> dict[str, str]:
    """Return the job files of a large installation."""
    return {name(number): text(number) for number in range(JOBS)} | BESIDE
