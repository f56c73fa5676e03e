"""The base of all services on asyncio, and `run`, which is the whole life of such a process."""

import asyncio
import functools
import logging
import operator
import signal
import typing
from collections.abc import Coroutine, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from apsis.errors import ApsisError
from apsis.home import Home
from apsis.messages.body import decode
from apsis.messages.events import Replay
from apsis.messages.snapshots import Snap
from apsis_bus import process
from apsis_bus.lock import AlreadyRunning, ServiceLock
from apsis_bus.process import ExitCode
from apsis_bus.seldom import Seldom, shown
from apsis_bus.tasks import background

if TYPE_CHECKING:
    from apsis.config import Config
    from apsis_bus.peer import Delivery


#: what is asked by a verb of its own; everything else comes by SEND
_VERB_OF: Final[Mapping[Any, str]] = MappingProxyType({Replay: "REPLAY", Snap: "SNAP"})


class Service:
    """A process of the installation. A method `on_<message>(self, message: Message, ...)` is what it hears.

    The annotation of `message` is the registration: `hears` maps each type of message to its method. It
    may be a union. `take` hands a delivery to the right one.
    """

    #: `scheduler`, `store`, `web`, `supervisor`: the lock's, the log's and the peer's name
    name: ClassVar[str]
    hears: ClassVar[Mapping[Any, str]] = MappingProxyType({})

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own: dict[Any, str] = {}
        for attribute, method in vars(cls).items():
            if attribute.startswith("on_") and callable(method):
                message = typing.get_type_hints(method).get("message")
                own |= dict.fromkeys(typing.get_args(message) or ([message] if message else []), attribute)
        cls.hears = MappingProxyType(dict(cls.hears) | own)

    def __init__(self, home: Home, config: "Config", host: str = "local") -> None:
        """Keep what the service is made with; nothing is opened before `start`."""
        self.home = home
        self.config = config
        self.host = host
        self.log = logging.getLogger(self.name)
        self._strangers = Seldom(self.log)
        #: what `start` wants written into the lock's line, e.g. `address`
        self.facts: dict[str, str] = {}

    async def start(self) -> None:
        """Open what is needed and begin to work; when it returns, the service is ready.

        Raises:
            ApsisError: it cannot work in this home; the process ends with one line and status 3.
        """

    async def stop(self) -> None:
        """Close what `start` opened; it has 4 seconds. Also called when `start` was broken off."""

    def background(self, coroutine: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        """Run a coroutine beside everything else; if it fails, the process ends with status 1 instead of limping on."""
        return background(coroutine, name)

    def take(self, delivery: "Delivery") -> None:
        """Call the `on_` method for a delivery's body, as `method(message, delivery)`; answer NO if there is none."""
        try:
            message = decode(_union(tuple(self.hears)), delivery.body)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            self._strangers.warning(
                "%s sent a body that %s does not understand: %s", delivery.sender, self.name, error,
                event="body_refused",
            )  # fmt: skip
            delivery.no("body", shown(error))
            return
        if delivery.verb != _VERB_OF.get(type(message), "SEND"):
            # the hub lets clients use REPLAY and SNAP: they must not carry what only services may say
            delivery.no("verb", f"{type(message).__struct_config__.tag} does not come by {delivery.verb}")
            return
        getattr(self, self.hears[type(message)])(message, delivery)


@functools.cache
def _union(kinds: tuple[Any, ...]) -> Any:
    return functools.reduce(operator.or_, kinds)


def run(service_class: type[Service], argv: Sequence[str] | None = None) -> int:
    """Be a service until told to end; return the exit status (`sys.exit(run(Scheduler))`).

    0: ended as asked; 1: something was not caught; 3: cannot start; 75: already running.
    """
    name = service_class.name
    process.log_to_stderr(name)
    try:
        from apsis import addresses, extensions
        from apsis.config import load_config

        arguments = process.parse_arguments(name, argv)
        config = load_config(arguments.home)
        extensions.configure(config.extensions, imports=False)
        addresses.configure(config.http.allow_private)
        process.log_to_stderr(name, config.log.level)
        lock_name = name if arguments.host == "local" else f"{name}/{arguments.host}"
        lock = ServiceLock(arguments.home, lock_name)
        lock.take()
    except AlreadyRunning as error:
        process.say(name, error)
        return ExitCode.ALREADY_RUNNING
    except ApsisError as error:
        process.say(name, error)
        return ExitCode.CANNOT_START
    process.take_title(name)
    process.keep_freed_blocks()
    process.forget_inherited_signals()
    process.survive_broken_pipes()
    return asyncio.run(_live(service_class(arguments.home, config, arguments.host), lock))


async def _live(service: Service, lock: ServiceLock) -> ExitCode:
    """Start the service, wait until it is told to end or something fails, and stop it."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[ExitCode] = loop.create_future()

    def end(code: ExitCode) -> None:
        if not over.done():
            over.set_result(code)

    def unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        service.log.error(
            "%s (%s)", context.get("message", "unhandled error"), context.get("task") or context.get("handle"),
            exc_info=context.get("exception"), extra={"event": "crashed"},
        )  # fmt: skip
        end(ExitCode.CRASHED)

    def started(task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            end_of_start = _after_start(service, task.exception(), lock)
            if end_of_start is not None:
                end(end_of_start)

    loop.set_exception_handler(unhandled)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, ExitCode.ASKED)
    starting = asyncio.create_task(service.start(), name=f"start {service.name}")
    starting.add_done_callback(started)
    code = await over
    process.end_within(code)
    starting.cancel()
    try:
        async with asyncio.timeout(process.END_WITHIN - 1):
            await service.stop()
    except TimeoutError:
        service.log.warning("%s did not stop in time and is cut off", service.name, extra={"event": "cut_off"})
    service.log.info("%s ended", service.name, extra={"event": "ended", "status": int(code)})
    return code


def _after_start(service: Service, error: BaseException | None, lock: ServiceLock) -> ExitCode | None:
    """Say what came of `start`: ready (None), or the status to end with."""
    if error is None:
        lock.ready(**service.facts)
        service.log.info("%s is ready", service.name, extra={"event": "ready"})
        return None
    if isinstance(error, ApsisError):
        process.say(service.name, error)
        return ExitCode.CANNOT_START
    service.log.error("%s failed while starting", service.name, exc_info=error, extra={"event": "crashed"})
    return ExitCode.CRASHED
