"""The REST side: JSON in and out, with every failure as one of this client's errors.

Reference clips and voices over REST.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

import aiohttp
import orjson

from .connection import Endpoint, authentication_hint
from .errors import (
    AuthenticationFailed,
    ClientError,
    ConnectionFailed,
    InvalidRequest,
    NotFound,
    RequestFailed,
    UnexpectedMessage,
)


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


_PATH: Final = "/api/v1/audio/reference_audio"


@dataclass(frozen=True, slots=True)
class ReferenceAudio:
    """An uploaded clip; a speech takes its `id` as the voice, or its `name` if it has one.

    created_at: UNIX seconds.
    """

    id: str
    filename: str
    bytes: int
    created_at: int
    text: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ServerVoice:
    """A voice that the server has without a reference; a speech takes its `id` or its `name`."""

    id: str
    name: str
    gender: str


class References:
    """The reference clips of this token. Every method raises what `Rest.request` raises."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def add(
        self,
        source: str | Path | bytes,
        text: str,
        *,
        filename: str | None = None,
        sample_rate: int | None = None,
        name: str | None = None,
    ) -> ReferenceAudio:
        """Upload a clip of 1 to 30 s and the words spoken in it.

        `source` is a path or the bytes of a file; `sample_rate` (Hz) is for raw PCM only. By its
        `name` a speech finds the clip as by its id; the newest one, if several have that name.
        Raises InvalidRequest if the file cannot be read.
        """
        if isinstance(source, bytes):
            data, filename = source, filename or "reference"
        else:
            path = Path(source)
            data, filename = await _read(path), filename or path.name
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field("text", text)
        if name is not None:
            form.add_field("name", name)
        if sample_rate is not None:
            form.add_field("sample_rate", str(sample_rate))
        form.add_field("file", data, filename=filename, content_type="application/octet-stream")
        return _reference(await self._rest.request("POST", _PATH, form=form))

    async def list(
        self, limit: int = 100, order: Literal["asc", "desc"] = "desc"
    ) -> tuple[ReferenceAudio, ...]:
        """At most `limit` clips by creation, `desc` is newest first."""
        answer = await self._rest.request(
            "GET", _PATH, params={"limit": str(limit), "order": order}
        )
        if not isinstance(answer, list):
            raise UnexpectedMessage("the server's answer is no list of references")
        return tuple(_reference(item) for item in answer)

    async def get(self, reference_id: str) -> ReferenceAudio:
        """Raises NotFound."""
        return _reference(await self._rest.request("GET", _path_of(reference_id)))

    async def delete(self, reference_id: str) -> None:
        """Delete it; tasks that use it go on. Raises NotFound."""
        await self._rest.request("DELETE", _path_of(reference_id))


def parse_voices(version: Mapping[str, Any]) -> tuple[ServerVoice, ...]:
    """The built-in voices that `/version` lists, in the server's order; none if it lists none."""
    try:
        return tuple(
            ServerVoice(str(item["id"]), str(item["name"]), str(item.get("gender", "")))
            for item in version.get("voices", ())
        )
    except (KeyError, TypeError, AttributeError):
        raise UnexpectedMessage("the server's list of voices is malformed") from None


async def _read(path: Path) -> bytes:
    try:
        return await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}") from None


def _path_of(reference_id: str) -> str:
    if not reference_id or reference_id in (".", ".."):
        raise InvalidRequest(f"{reference_id!r} is no reference id")
    return f"{_PATH}/{quote(reference_id, safe='')}"


def _reference(answer: Any) -> ReferenceAudio:
    try:
        return ReferenceAudio(
            str(answer["id"]),
            str(answer["filename"]),
            int(answer["bytes"]),
            int(answer["created_at"]),
            str(answer["text"]),
            str(answer.get("name", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnexpectedMessage("the server's answer is no reference object") from None
