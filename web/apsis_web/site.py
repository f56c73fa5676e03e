"""The site: all that handlers need, made once by the server and handed to each of them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from apsis.config import Config
from apsis.home import Home
from apsis_web.asking import AlertsAsk, HostAsk, SchedulerAsk, StoreAsk
from apsis_web.attempts import Attempts
from apsis_web.cache import Cache
from apsis_web.database import Database
from apsis_web.explaining.asking import Explainer
from apsis_web.health import Health
from apsis_web.hosts import Hosts
from apsis_web.jobs import JobList
from apsis_web.live_outputs import LiveOutputs
from apsis_web.sessions import Sessions


class Socket(Protocol):
    """A websocket, as the server sees it."""

    def say_bye(self, after: int) -> None:
        """Tell the client that the server stops, and when to come back (ms); then close."""
        ...


@dataclass(frozen=True, slots=True)
class Site:
    """What is served, and by whose help."""

    home: Home
    config: Config
    cache: Cache
    jobs: JobList
    database: Database
    scheduler: SchedulerAsk
    store: StoreAsk
    supervisors: HostAsk
    alerts: AlertsAsk
    outputs: LiveOutputs
    explainer: Explainer
    health: Health
    sessions: Sessions
    hosts: Hosts
    attempts: Attempts = field(default_factory=Attempts)
    #: where the built page lies
    static: Path = Path(__file__).parent / "static"
    #: the websockets that are open
    sockets: "set[Socket]" = field(default_factory=set)
