"""Which path is answered by whom. `{id}` is one segment: a `/` in a job id comes as `%2F`."""

from pathlib import Path
from typing import Any, Final

from tornado.routing import URLSpec
from tornado.web import RequestHandler

from apsis_web.handlers import (
    about,
    actions,
    alerts,
    checking,
    control,
    events,
    explaining,
    figures,
    jobs,
    login,
    output_lines,
    outputs,
    page,
    pausing,
    runs,
    versions,
)
from apsis_web.handlers.resource import Missing
from apsis_web.websocket.handler import Live

API: Final = "/api/v1"
_RUN: Final = r"/runs/([^/]+)"
_JOB: Final = r"/jobs/([^/]+)"

#: below `/api/v1`
RESOURCES: Final[list[tuple[str, type[RequestHandler]]]] = [
    (r"/alive", about.Alive),
    (r"/health", about.HealthReport),
    (r"/stats", about.Stats),
    (r"/version", about.Version),
    (r"/login", login.Login),
    (r"/logout", login.Logout),
    (r"/session", login.Session),
    (r"/ws", Live),
    (r"/runs", runs.Runs),
    (r"/runs/bulk", actions.ActOnMany),
    (_RUN, runs.OneRun),
    (_RUN + r"/log", runs.RunLog),
    (_RUN + r"/version", versions.RunVersion),
    (_RUN + rf"/({'|'.join(actions.ACTIONS)})", actions.Act),
    (_RUN + r"/why", explaining.WhyRun),
    (_RUN + r"/dependencies", explaining.RunNeeds),
    (_RUN + r"/processes", figures.Processes),
    (_RUN + r"/samples", figures.Samples),
    (_RUN + r"/outputs", outputs.Outputs),
    (_RUN + r"/output", outputs.Output),
    (_RUN + r"/output/([^/]+)", outputs.Output),
    (_RUN + r"/output/([^/]+)/(lines|tail)", output_lines.OutputLines),
    (_RUN + r"/output/([^/]+)/search", output_lines.OutputSearch),
    (r"/jobs", jobs.Jobs),
    (r"/jobs/check", checking.CheckJob),
    (r"/jobs/reload", jobs.Reload),
    (_JOB, jobs.OneJob),
    (_JOB + r"/runs", jobs.JobRuns),
    (_JOB + r"/versions", versions.JobVersions),
    (_JOB + r"/why", explaining.WhyJob),
    (_JOB + r"/schedule", explaining.JobSchedule),
    (_JOB + r"/(pause|resume)", pausing.PauseJob),
    (r"/forecast", explaining.Forecast),
    (r"/why", explaining.Why),
    (r"/missed", explaining.Missed),
    (r"/events", events.Events),
    (r"/alerts", alerts.AlertsReport),
    (r"/alerts/retry", alerts.Retry),
    (r"/alerts/test", alerts.Test),
    (r"/control/status", control.ControlStatus),
    (r"/control/(pause|resume)", pausing.PauseAll),
    (r"/control/restart", control.Restart),
    (r"/control/shutdown", control.Shutdown),
    (r"/control/archive", control.Archive),
    (r"/control/vacuum", control.Vacuum),
    (r"/control/retention", control.Retention),
]

#: paths that the page itself makes something of
PAGES: Final = r"/(?:|runs|runs/.*|jobs|jobs/.*|job/.*|timeline|new|control|control/.*|help|help/.*|login)"


def routes(static: Path) -> list[Any]:
    """Return all routes, the first that fits counts."""
    return [
        *((API + path, handler) for path, handler in RESOURCES),
        (r"/ws", Live),
        (r"/api(?:/.*)?", Missing),
        URLSpec(r"/(assets/.*)", page.Asset, {"path": str(static)}),
        (PAGES, page.Page),
        URLSpec(r"/([^/]+\.(?:svg|png|ico|txt|webmanifest))", page.RootFile, {"path": str(static)}),
    ]
