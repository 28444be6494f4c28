"""Wyoming's listening sockets and their connections."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from weakref import WeakSet

from websockets.frames import CloseCode

from cosyserve.protocol.errors import TTSError

from ..delivery.delivery import USUAL_QUEUE
from ..delivery.kernel import keep_unsent_below
from ..dialects.wyoming import WYOMING, caller_of, terms
from ..port.listening import BACKLOG, Listening, Setting, listen
from ..services import Services
from ..settings import ListenAddress
from ..websocket.connection import SpeechConnection
from .connection import WyomingConnection


class WyomingServer:
    """Serves connections until it is closed. url: for clients on this machine."""

    def __init__(self, services: Services, listening: Listening) -> None:
        self._services = services
        self._listening = listening
        self.url = listening.url("tcp")
        self._servers: list[asyncio.Server] = []
        self._connections: WeakSet[WyomingConnection] = WeakSet()
        self._running: set[asyncio.Task[None]] = set()  # one for each that has sent an event

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        for each in self._listening.sockets:
            keep_unsent_below(each, USUAL_QUEUE)  # accepted sockets inherit it
            self._servers.append(
                await loop.create_server(self._connection, sock=each, backlog=BACKLOG)
            )

    def close(self) -> None:
        """Stop listening, and part with those who have said nothing; Shutdown tells the others."""
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            if not connection.known:
                connection.abort()

    async def wait_closed(self) -> None:
        """Wait until every connection is over. Cancel-safe."""
        if self._running:
            await asyncio.wait(self._running)

    def _connection(self) -> WyomingConnection:
        services = self._services
        made = WyomingConnection(
            services.settings, services.deliveries, services.sockets, self._begin
        )
        self._connections.add(made)
        return made

    def _begin(self, connection: WyomingConnection) -> None:
        running = asyncio.create_task(self._serve(connection))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _serve(self, connection: WyomingConnection) -> None:
        services, caller = self._services, caller_of(self._services)
        try:
            place = services.admission.connect(caller)
        except TTSError as error:
            await connection.close(CloseCode.TRY_AGAIN_LATER, error.message)
            return
        with place, services.metrics.connection(WYOMING.websocket_label):
            held = terms(services)
            speech = SpeechConnection(
                connection, connection, caller, place, services, WYOMING, held
            )
            await speech.run()
            await connection.close()


async def serve_wyoming(
    address: ListenAddress, services: Services, stack: AsyncExitStack
) -> WyomingServer:
    """A server that listens, until the stack is closed. Raises OSError if the address cannot be used."""
    listening = listen(
        address.host,
        address.port,
        send_buffer=services.settings.send_buffer_bytes,
        setting=Setting("wyoming", "wyoming"),
    )
    stack.callback(listening.close)
    server = WyomingServer(services, listening)
    await server.start()
    stack.callback(server.close)
    return server
