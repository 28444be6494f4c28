"""aiohttp's side of a connection, quiet about what clients do wrong."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from cosyserve.protocol.errors import InvalidParameter, TTSError

from ..dialects import Dialect, dialect_of
from ..errors import as_tts_error
from ..observe.logs import log_ids
from ..port.cross_origin import CrossOrigin
from ..port.heads import rough_origins, rough_target
from .envelope import SERVER, json_response
from .sending import PartingConnection

log = structlog.get_logger(__name__)

_CLIENTS_FAULTS = (HttpProcessingError, web.RequestPayloadError)


class HttpConnection(PartingConnection):
    """Answers what aiohttp cannot parse in the dialect's form, and logs it in one line without its values.

    Bodies are not unpacked. head_timeout: seconds for a head that aiohttp takes for the rest of one before.
    """

    def __init__(
        self,
        server: web.Server,
        dialects: Sequence[Dialect],
        cross_origin: CrossOrigin,
        head_timeout: float,
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # no log; the annotation forgets that
            auto_decompress=False,
            keepalive_timeout=head_timeout,
            lingering_time=0,  # `part` does that
        )
        self._dialects = dialects
        self._cross_origin = cross_origin
        self._path: str | None = None  # of the first request, the only one that is answered
        self._origins: Sequence[str] = ()  # its page's

    def data_received(self, data: bytes) -> None:
        if self.parts:
            return
        if self._path is None:
            self._path = rough_target(data).partition("?")[0]
            self._origins = rough_origins(data)
        super().data_received(data)
        # A message after an unfinished body is the parser's word that the body is broken. aiohttp does not
        # tell the reader of that body, which would wait for its end.
        bodies = [body for _, body in self._messages]
        if self._current_request is not None:
            bodies.insert(0, self._current_request.content)
        for body in bodies[:-1]:
            if not body.is_eof() and body.exception() is None:
                body.set_exception(web.RequestPayloadError("the body is broken"))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun, so an error cannot be told any more")
        request_id = str(uuid.uuid4())
        with log_ids(request_id=request_id):
            if isinstance(exc, _CLIENTS_FAULTS):
                log.info("request_refused", reason=type(exc).__name__)
                error: TTSError = InvalidParameter("the request is malformed")
            else:
                error = as_tts_error(exc or RuntimeError(message))
        dialect = dialect_of(self._path or "/", self._dialects)
        response = json_response(dialect.error_body(error, request_id), error.status)
        response.headers["X-Request-Id"] = request_id
        response.headers["Server"] = SERVER
        response.headers.update(self._cross_origin.headers(self._origins))
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        error = kw.get("exc_info")
        if isinstance(error, _CLIENTS_FAULTS):
            log.info("request_refused", reason=type(error).__name__)
        else:
            super().log_exception(*args, **kw)
