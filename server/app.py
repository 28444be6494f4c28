"""The running server: its parts are built, its port is opened, drained and closed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from websockets.asyncio.server import Server, ServerConnection
from websockets.asyncio.server import serve as serve_websockets
from websockets.frames import CloseCode

from cosyserve.engine.interface import Engine, EngineError
from cosyserve.engine.threads import Threads
from cosyserve.protocol.errors import TTSError
from cosyserve.version import VERSION

from .auth import Authenticator
from .delivery import Deliveries, KeptSounds
from .delivery.delivery import USUAL_QUEUE
from .delivery.kernel import keep_unsent_below
from .delivery.spool import Spools
from .dialects import Dialect, labels_of
from .dialects.served import DIALECTS
from .dictionaries.shelf import DictionaryShelf
from .http.connection import HttpConnection
from .observe.logs import configure_logging
from .observe.metrics import CountsMore, Metrics, watch_loop_lag
from .observe.tracing import parent_of
from .port.connections import switch_to
from .port.cross_origin import CrossOrigin
from .port.listening import BACKLOG, Servers, Setting, listen
from .port.origins import OriginPolicy
from .port.sockets import SPARE, Sockets
from .port.tls import tls_context
from .routes import build_app, build_metrics_app
from .services import Services
from .settings import ListenAddress, Settings
from .settings.sources import SettingsError
from .settings.values import PageOrigins
from .startup.calibration import calibrate
from .startup.exposure import exposure_notices
from .startup.garbage import settle
from .startup.open_files import affordable, make_room
from .startup.parts import (
    build_engine,
    start_engine,
    started_quotas,
    started_spools,
    started_store,
    started_tracing,
    voice_folder_notice,
    warn_of_missing_voices,
)
from .tasks.admission import Admission
from .tasks.shutdown import Shutdown
from .token_file import TokenFile
from .turns import Turns
from .voices.book import VoiceBook
from .voices.clip import ClipLimits
from .voices.fetch import ClipFetcher
from .voices.intake import UploadDesk
from .voices.store import ReferenceStore
from .websocket.budgets import TokenBudgets
from .websocket.connection import SERVER_ENDS, TOKEN_GONE, SpeechConnection
from .websocket.handshake import (
    Handshake,
    head_refusal,
    reworded_refusal,
    select_subprotocol,
)
from .websocket.intake import FairConnection
from .websocket.outbox import Outbox

if TYPE_CHECKING:
    from .wyoming.server import WyomingServer

log = structlog.get_logger(__name__)

_METRICS_SOCKETS = 64
_THREADS = 2
"""For each kind of short work on what clients send and get."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that listens.

    port: the actual one, even if the settings say 0. url: for clients on this machine. everywhere: the URL
    with the host of the settings if that stands for every address of this machine, else None.
    wyoming: None if it is not served.
    """

    services: Services
    port: int
    url: str
    everywhere: str | None
    websockets: Servers
    http: web.AppRunner
    token_file: TokenFile
    wyoming: WyomingServer | None

    async def drain(self) -> None:
        """Refuse new tasks, let running ones finish within the grace time, then close with 1012.

        A task has finished when its client has taken the last byte. Meanwhile the port stays open, so that
        /readyz can report that the server is not ready.
        """
        admission, grace = self.services.admission, self.services.settings.drain_grace
        admission.drain()
        log.info("draining", tasks=admission.tasks, grace=grace)
        deadline = asyncio.get_running_loop().time() + grace
        try:
            async with asyncio.timeout_at(deadline):
                await admission.wait_idle()
                await self.services.deliveries.all_taken()
        except TimeoutError:
            log.warning("drain_over", tasks=admission.tasks, grace=grace)
        await self.close(deadline)

    async def close(self, deadline: float = 0.0) -> None:
        """Fail what runs, close every connection with 1012 (service restart) and stop listening.

        Tasks and requests end with EngineUnavailable: those that are spoken, by `Shutdown`, those whose body
        is still coming, by `envelope`. The last words have close_timeout to be written.
        deadline: loop time until which clients may read and answer the close; they have at least
        close_timeout.
        """
        least = self.services.settings.close_timeout
        self.services.admission.drain()
        self.services.shutdown.begin()
        with suppress(TimeoutError):
            async with asyncio.timeout(least):
                await self.services.admission.wait_idle()
        self.websockets.close(*SERVER_ENDS)
        if self.wyoming is not None:
            self.wyoming.close()
        await self.services.engine.stop()
        await self.http.cleanup()  # the port closes only when the last request is over
        deadline = max(deadline, asyncio.get_running_loop().time() + least)
        try:
            async with asyncio.timeout_at(deadline):
                await self._wait_closed()
        except TimeoutError:
            self.services.deliveries.cut("the server shut down")
            await self._wait_closed()

    async def _wait_closed(self) -> None:
        await self.websockets.wait_closed()
        if self.wyoming is not None:
            await self.wyoming.wait_closed()


@asynccontextmanager
async def serve(
    settings: Settings, engine: Engine | None = None, dialects: Sequence[Dialect] = DIALECTS
) -> AsyncIterator[RunningServer]:
    """A context in which a server runs; it is ready when the context is entered.

    engine: replaces the one that the settings name. dialects: the APIs to speak, the native one first.
    Leaving the context closes the server at once; `drain` it first if running tasks matter.
    Raises OSError if the port or a place cannot be used, EngineError if the engine cannot start,
    SettingsError for a setting that proves wrong only when it is used.
    """
    async with AsyncExitStack() as stack:
        services = await _build_services(settings, engine, dialects, stack)
        http = await _http(services, dialects, stack)
        handshake = Handshake(services, dialects)
        tls = tls_context(settings.tls_cert, settings.tls_key)
        listening = listen(settings.host, settings.port, send_buffer=settings.send_buffer_bytes)
        stack.callback(listening.close)
        switch = _switch(http, dialects, CrossOrigin(settings.allowed_origins), services)
        policy = OriginPolicy(settings.host, settings.allowed_origins, tokens=bool(settings.tokens))
        create_connection = switch(admit=policy.check, sockets=services.sockets, tls=tls)
        open_port = partial(
            _open_port,
            partial(_handle, services, handshake),
            handshake,
            services,
            create_connection,
        )
        servers = [await stack.enter_async_context(open_port(each)) for each in listening.sockets]
        if settings.metrics_address is not None:
            await _serve_metrics(settings.metrics_address, services, dialects, stack)
        scheme = "http" if tls is None else "https"
        wyoming = None
        if settings.wyoming is not None:
            wyoming = await _wyoming(settings.wyoming, services, stack)
        server = RunningServer(
            services,
            listening.port,
            listening.url(scheme),
            listening.bound_url(scheme) if listening.everywhere else None,
            Servers(servers),
            http,
            TokenFile(services),
            wyoming,
        )
        watching = asyncio.create_task(server.token_file.watch())
        stack.callback(server.token_file.close)
        stack.callback(watching.cancel)
        stack.push_async_callback(server.close)
        await start_engine(services.engine, settings)
        yield server


async def _handle(services: Services, handshake: Handshake, connection: ServerConnection) -> None:
    """Serve a WebSocket, whose handshake is done, to its end."""
    assert isinstance(connection, FairConnection)
    assert connection.request is not None
    route = handshake.route(connection.request)
    caller = handshake.caller(connection.request, route)
    if caller is None:  # its token went during the handshake
        await connection.close(*TOKEN_GONE)
        return
    try:
        place = services.admission.connect(caller)
    except TTSError as error:  # the last place was taken during the handshake
        await connection.close(CloseCode.TRY_AGAIN_LATER, error.message)
        return
    with place, services.metrics.connection(route.dialect.websocket_label):
        await SpeechConnection(
            connection,
            Outbox(connection),
            caller,
            place,
            services,
            route.dialect,
            route.open(services.settings),
            parent_of(connection.request.headers.get_all),
        ).run()


def _open_port(
    handle: Callable[[ServerConnection], Awaitable[None]],
    handshake: Handshake,
    services: Services,
    create_connection: type[ServerConnection],
    listening: socket.socket,
) -> AbstractAsyncContextManager[Server]:
    """A context that serves both protocols on a listening socket."""
    settings = services.settings
    keep_unsent_below(listening, USUAL_QUEUE)  # accepted sockets inherit it
    return serve_websockets(
        handle,
        sock=listening,
        backlog=BACKLOG,  # otherwise asyncio's default, which is far smaller, replaces it
        create_connection=create_connection,
        process_request=handshake.check,
        process_response=reworded_refusal,
        select_subprotocol=select_subprotocol,
        compression=None,  # deflate takes ten times as long as the rest of a message
        max_size=settings.max_message_bytes,
        open_timeout=settings.head_timeout,
        close_timeout=settings.close_timeout,
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
        server_header=f"cosyserve/{VERSION}",
    )


async def _build_services(
    settings: Settings,
    engine: Engine | None,
    dialects: Sequence[Dialect],
    stack: AsyncExitStack,
) -> Services:
    engine = engine or build_engine(settings)
    stack.push_async_callback(engine.stop)
    store = await started_store(settings)
    stack.push_async_callback(store.stop)
    voices = VoiceBook(engine, store, ClipLimits.of(settings))
    stack.callback(voices.close)
    intake = UploadDesk(voices, store, settings)
    stack.callback(intake.close)
    clips = ClipFetcher(
        settings.enrollment_hosts, settings.max_upload_bytes, settings.enrollment_timeout
    )
    stack.callback(clips.close)
    spools = started_spools(settings)
    stack.callback(spools.stop)
    kept_sounds = KeptSounds(spools, settings.dashscope_sound_lifetime)
    stack.callback(kept_sounds.close)
    pool = ThreadPoolExecutor(settings.encode_threads, thread_name_prefix="encode")
    stack.callback(pool.shutdown, wait=False, cancel_futures=True)
    admission = Admission(settings)
    metrics = _metrics(settings, engine, admission, dialects, spools, stack)
    return Services(
        settings=settings,
        engine=engine,
        store=store,
        voices=voices,
        dictionaries=_dictionaries(store, engine, settings, stack),
        intake=intake,
        clips=clips,
        authenticator=Authenticator(settings.tokens),
        admission=admission,
        beginnings=Turns(1),
        shutdown=Shutdown(),
        metrics=metrics,
        deliveries=Deliveries(settings.send_timeout),
        spools=spools,
        kept_sounds=kept_sounds,
        budgets=TokenBudgets(settings),
        quotas=await started_quotas(settings, metrics, stack),
        tracing=started_tracing(settings, stack),
        sockets=Sockets(affordable(settings.max_connections) + SPARE),
        encode_pool=pool,
        ssml_threads=_threads("ssml", stack),
        form_threads=_threads("form", stack),
        document_threads=_threads("document", stack),
    )


def _metrics(
    settings: Settings,
    engine: Engine,
    admission: Admission,
    dialects: Sequence[Dialect],
    spools: Spools,
    stack: AsyncExitStack,
) -> Metrics:
    metrics = Metrics(
        engine.capabilities.name,
        stats=engine.stats,
        ready=lambda: engine.ready and not admission.draining,
        token_names=[token.name for token in settings.tokens],
        extra=engine.extra_metrics if isinstance(engine, CountsMore) else lambda: (),
        transports=(*labels_of(dialects), *(("wyoming",) if settings.wyoming else ())),
        spools=spools,
    )
    metrics.watch_capacity(admission.capacity)
    lag = asyncio.create_task(watch_loop_lag(metrics))
    stack.callback(lag.cancel)
    return metrics


def _dictionaries(
    store: ReferenceStore, engine: Engine, settings: Settings, stack: AsyncExitStack
) -> DictionaryShelf:
    threads = _threads("dictionary", stack)
    return DictionaryShelf(store.documents("dictionaries"), engine, settings, threads)


def _threads(name: str, stack: AsyncExitStack) -> Threads:
    threads = Threads(name, _THREADS)
    stack.callback(threads.close)
    return threads


async def _http(
    services: Services, dialects: Sequence[Dialect], stack: AsyncExitStack
) -> web.AppRunner:
    """The REST side of the port."""
    runner = web.AppRunner(
        build_app(services, dialects),
        handler_cancellation=True,
        # aiohttp waits twice: for the answer, then for what the handler makes of its end.
        shutdown_timeout=services.settings.close_timeout / 2,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


async def _serve_metrics(
    address: ListenAddress, services: Services, dialects: Sequence[Dialect], stack: AsyncExitStack
) -> None:
    """Serve them as the port is served, with sockets of their own; no upgrade is accepted."""
    setting = Setting("metrics_address", "metrics_address")
    listening = listen(address.host, address.port, setting=setting)
    stack.callback(listening.close)
    timeout = services.settings.close_timeout / 2
    metrics = web.AppRunner(build_metrics_app(services), shutdown_timeout=timeout)
    await metrics.setup()
    stack.push_async_callback(metrics.cleanup)
    policy = OriginPolicy(address.host, services.settings.allowed_origins)
    sockets = Sockets(_METRICS_SOCKETS)
    pages = CrossOrigin(PageOrigins())
    create_connection = _switch(metrics, dialects, pages, services)(
        admit=policy.check, sockets=sockets
    )
    handshake = Handshake(services, ())
    for each in listening.sockets:
        await stack.enter_async_context(
            _open_port(_no_websocket, handshake, services, create_connection, each)
        )
    stack.callback(sockets.cut)
    log.info("metrics_listening", url=f"{listening.url('http')}/metrics")


async def _wyoming(
    address: ListenAddress, services: Services, stack: AsyncExitStack
) -> WyomingServer:
    try:
        from .wyoming.server import serve_wyoming
    except ImportError as error:
        raise SettingsError(
            [
                f"wyoming: {address} needs {error.name}, which is not installed; allowed: "
                "install cosyserve[wyoming], or leave it out"
            ]
        ) from error
    return await serve_wyoming(address, services, stack)


async def _no_websocket(connection: ServerConnection) -> None:
    raise AssertionError("a handshake without dialects accepts nothing")


def _switch(
    runner: web.AppRunner,
    dialects: Sequence[Dialect],
    cross_origin: CrossOrigin,
    services: Services,
) -> Callable[..., type[ServerConnection]]:
    """`switch_to` for an HTTP application; asks for the rest of its arguments."""
    assert isinstance(runner.server, web.Server)
    settings = services.settings
    return partial(
        switch_to,
        make_http=partial(
            HttpConnection, runner.server, dialects, cross_origin, settings.head_timeout
        ),
        refusal=partial(head_refusal, dialects, cross_origin),
        deliveries=services.deliveries,
        limits=settings,
        head_timeout=settings.head_timeout,
    )


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, drain, return the exit status. A second signal closes at once."""
    configure_logging(settings.log_level, settings.log_format)
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        try:
            runner.run(_serve_until_signalled(settings))
        except (OSError, EngineError) as error:
            log.error("cannot_serve", reason=str(error))
            return 1
    return 0


def _new_event_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


async def _serve_until_signalled(settings: Settings) -> None:
    loop, signalled, reading = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    starting = (
        make_room(settings.max_connections),
        voice_folder_notice(settings),
        *exposure_notices(settings),
    )
    for notice in filter(None, (*settings.notices, *starting)):
        log.warning("notice", notice=notice)
    if settings.token_file is not None or not os.isatty(0):
        # In a terminal without such a file the signal ends the server, as the terminal's own end should.
        loop.add_signal_handler(signal.SIGHUP, reading.set)
    async with serve(settings) as server:
        await warn_of_missing_voices(server.services)
        settle()
        print(f"listening on {server.url}", flush=True)
        if server.everywhere:
            print(f"and on every address of this machine: {server.everywhere}", flush=True)
        if server.wyoming is not None:
            print(f"for Wyoming on {server.wyoming.url}", flush=True)
        calibrating = asyncio.create_task(calibrate(server.services))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, signalled.set)
        tokens = asyncio.create_task(_read_when_told(server.token_file, reading))
        await signalled.wait()
        signalled.clear()
        tokens.cancel()
        calibrating.cancel()
        draining = asyncio.create_task(server.drain())
        again = asyncio.create_task(signalled.wait())
        await asyncio.wait({draining, again}, return_when=asyncio.FIRST_COMPLETED)
        if again.done():
            log.warning("closing_at_once", reason="a second signal")
            _exit_within(3 * settings.close_timeout)
        for task in (draining, again):
            task.cancel()
        await asyncio.wait({draining, again})


async def _read_when_told(file: TokenFile, told: asyncio.Event) -> None:
    while await told.wait():
        told.clear()
        await file.read()


def _exit_within(seconds: float) -> None:
    """End the process by then, whatever it waits for: a thread that decodes, a store, a device."""

    def end() -> None:
        log.error("ended_unfinished", waited=seconds)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
