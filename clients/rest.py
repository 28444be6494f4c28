"""The REST side: JSON in and out, with every failure as one of this client's errors."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson

from .connection import authentication_hint
from .endpoint import Endpoint
from .errors import AuthenticationFailed, ClientError, ConnectionFailed, NotFound, RequestFailed, UnexpectedMessage


class Rest:
    """Requests to one server over kept connections; `close` it in the end."""

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        self._endpoint = endpoint
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        form: aiohttp.FormData | None = None,
    ) -> Any:
        """The decoded JSON of the answer.

        Raises ConnectionFailed, AuthenticationFailed, NotFound, RequestFailed, UnexpectedMessage.
        """
        tls = self._endpoint.tls
        try:
            async with self._open().request(
                method,
                self._endpoint.http + path,
                params=params,
                data=form,
                ssl=True if tls is None else tls,
            ) as response:
                body = await response.read()
        except aiohttp.ClientConnectorError as error:
            raise self._not_connected(error) from None
        except TimeoutError:
            raise ConnectionFailed(
                f"{self._endpoint.not_reached}: no answer within {self._timeout:g} s"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise ConnectionFailed(f"{self._endpoint.not_reached}: {reason}") from None
        if response.status < HTTPStatus.BAD_REQUEST:
            return self._json(body)
        raise self._failure(response.status, body)

    async def close(self) -> None:
        """Close the kept connections. Idempotent."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._endpoint.headers,
                timeout=aiohttp.ClientTimeout(total=self._timeout),
            )
        return self._session

    def _not_connected(self, error: aiohttp.ClientConnectorError) -> ConnectionFailed:
        reason = error.os_error.strerror or str(error.os_error)
        if isinstance(error.os_error, ConnectionRefusedError):
            reason = "nothing listens there; is the server running? (cosyserve serve)"
        return ConnectionFailed(f"{self._endpoint.not_reached}: {reason}")

    def _json(self, body: bytes) -> Any:
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            raise UnexpectedMessage(
                f"{self._endpoint.http} does not speak this API: its answer is not JSON"
            ) from None

    def _failure(self, status: int, body: bytes) -> ClientError:
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return AuthenticationFailed(authentication_hint(self._endpoint))
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            answer = {}
        kind = NotFound if status == HTTPStatus.NOT_FOUND else RequestFailed
        return kind(
            status,
            str(answer.get("code") or f"HTTP {status}"),
            str(answer.get("message") or "no reason given"),
            str(answer.get("request_id") or ""),
        )
