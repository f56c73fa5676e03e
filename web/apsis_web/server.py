"""Web: the service that people and programs speak with over HTTP."""

import asyncio
from typing import ClassVar, Final

import tornado.web

from apsis.home import Home
from apsis_bus.peer import BusRefused, Peer
from apsis_bus.service import Service
from apsis_web.asking import AlertsAsk, HostAsk, SchedulerAsk, StoreAsk
from apsis_web.cache import Cache
from apsis_web.database import Database
from apsis_web.explaining.asking import Explainer
from apsis_web.explaining.sanity import Sanity
from apsis_web.feed import Feed
from apsis_web.gate import BODY_MAX
from apsis_web.handlers.resource import Missing
from apsis_web.health import Asks, Health
from apsis_web.hosts import Hosts
from apsis_web.jobs import JobList
from apsis_web.listening import listen
from apsis_web.live_outputs import LiveOutputs
from apsis_web.oversize import Server
from apsis_web.routes import routes
from apsis_web.sessions import Sessions
from apsis_web.site import Site
from apsis_web.websocket import protocol

#: milliseconds after which a client is to come back to a server that restarts
COME_BACK: Final = 1_000
#: seconds in which the farewells go out
_FAREWELL: Final = 0.4
#: seconds for which the database of a new home is awaited before we are ready, so that what is asked first is answered
_PATIENCE: Final = 3.0


class Web(Service):
    """Owns nothing durable: a cache, and the sockets of those who look."""

    name = "web"
    #: given on the command line; None: as the configuration says
    port: ClassVar[int | None] = None

    async def start(self) -> None:
        """Listen at once; database and bus are found when they are there."""
        sockets, address = listen(
            self.config.web.bind,
            self.config.web.port if self.port is None else self.port,
            self.home.run / "web.port",
        )
        self._peer = Peer(self.home, self.name, bulk=True)
        self._site = self._make_site(self.home)
        self._feed = Feed(self._site.cache, self._site.database, self._peer, self.config.runs.lookback)
        application = tornado.web.Application(
            routes(self._site.static),
            site=self._site,
            default_handler_class=Missing,
            compress_response=True,
            websocket_ping_interval=protocol.HEARTBEAT,
            websocket_ping_timeout=protocol.HEARTBEAT,
            websocket_max_message_size=protocol.INBOUND_MAX,
            log_function=_log_nothing,
        )
        # A little more than what a handler takes, so that it can say 413 itself; beyond that the connection is cut.
        self._server = Server(application, max_body_size=4 * BODY_MAX, idle_connection_timeout=600)
        self._server.add_sockets(sockets)
        self.facts["address"] = address
        self.log.info("listening on %s", address, extra={"event": "listening"})
        self._feed.start()
        self._joining = asyncio.create_task(self._join_bus(), name="join the bus")
        await self._feed.first_load(_PATIENCE)

    def _make_site(self, home: Home) -> Site:
        cache, database = Cache(), Database(self.config.database)
        store, supervisors, alerts = StoreAsk(self._peer), HostAsk(self._peer), AlertsAsk(self._peer)
        asks = Asks(store, supervisors, alerts)
        explainer = Explainer(home)
        self._sanity = Sanity(explainer)
        return Site(
            home=home,
            config=self.config,
            cache=cache,
            jobs=JobList(cache),
            database=database,
            scheduler=SchedulerAsk(self._peer),
            store=store,
            supervisors=supervisors,
            alerts=alerts,
            explainer=explainer,
            outputs=LiveOutputs(self._peer),
            health=Health(home, self._peer, cache, database, asks, self.config.disk, self._sanity),
            sessions=Sessions(home),
            hosts=Hosts(self.config.web.bind),
        )

    async def _join_bus(self) -> None:
        """Connect, however long the hub takes; a hub that refuses us is asked again, as it may be an old one."""
        while True:
            try:
                await self._peer.connect()
            except BusRefused as refused:
                self.log.warning("%s; trying again", refused.message, extra={"event": "bus_refused"})
                await asyncio.sleep(2)
            else:
                return

    async def stop(self) -> None:
        """Say goodbye to the websockets, and close."""
        if not hasattr(self, "_site"):
            return
        self._server.stop()
        for connection in list(self._site.sockets):
            connection.say_bye(COME_BACK)
        if self._site.sockets:
            await asyncio.sleep(_FAREWELL)
        self._joining.cancel()
        await self._sanity.close()
        await self._site.explainer.close()
        await self._feed.stop()
        await self._peer.close()
        self._site.database.close()
        try:
            async with asyncio.timeout(1.0):
                await self._server.close_all_connections()
        except TimeoutError:
            self.log.warning("some connections did not close in time", extra={"event": "cut_off"})


def _log_nothing(handler: tornado.web.RequestHandler) -> None:
    """Log no line for each request: what failed is logged by who noticed, and a page polls."""
