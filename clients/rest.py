"""The REST side: the server's references and voices, and every failure as one of this client's errors."""

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

from .connection import Endpoint
from .errors import (
    AuthenticationFailed,
    ClientError,
    InvalidRequest,
    NotFound,
    RequestFailed,
    UnexpectedMessage,
)

_REFERENCES: Final = "/api/v1/audio/reference_audio"


class Rest:
    """Requests to one server over kept connections; `close` it in the end."""

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        self._endpoint = endpoint
        self._timeout = timeout
        # Opened by the first request: it needs a running event loop.
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
            raise self._endpoint.not_reached(error.os_error) from None
        except TimeoutError:
            raise self._endpoint.no_answer(self._timeout) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._endpoint.not_reached(error) from None
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

    def _json(self, body: bytes) -> Any:
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            raise UnexpectedMessage(
                f"{self._endpoint.http} does not speak this API: its answer is not JSON"
            ) from None

    def _failure(self, status: int, body: bytes) -> ClientError:
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return AuthenticationFailed(self._endpoint.token_refused)
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


@dataclass(frozen=True, slots=True)
class ReferenceAudio:
    """A reference: a stored clip and the words spoken in it (`text`).

    id, name: a speech takes either as its voice; `name` may be empty. filename: as uploaded.
    bytes: size of the clip. created_at: seconds since the epoch.
    """

    id: str
    filename: str
    bytes: int
    created_at: int
    text: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ServerVoice:
    """One of the server's own voices; a speech takes its `id` or its `name` as its voice."""

    id: str
    name: str
    gender: str


class References:
    """The references that belong to the client's token.

    Every method raises ConnectionFailed, AuthenticationFailed, RequestFailed, UnexpectedMessage.
    """

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

        source: a path, or the bytes of a file. sample_rate: Hz, for raw PCM only.
        name: a speech takes it as its voice; of several references with one name, the newest.
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
        return _reference(await self._rest.request("POST", _REFERENCES, form=form))

    async def list(
        self, limit: int = 100, order: Literal["asc", "desc"] = "desc"
    ) -> tuple[ReferenceAudio, ...]:
        """At most `limit` references by creation; `desc` is newest first."""
        answer = await self._rest.request(
            "GET", _REFERENCES, params={"limit": str(limit), "order": order}
        )
        if not isinstance(answer, list):
            raise UnexpectedMessage("the server's answer is not a list of references")
        return tuple(_reference(item) for item in answer)

    async def get(self, reference_id: str) -> ReferenceAudio:
        """Raises NotFound."""
        return _reference(await self._rest.request("GET", _path_of(reference_id)))

    async def delete(self, reference_id: str) -> None:
        """Delete the reference; tasks that use it continue. Raises NotFound."""
        await self._rest.request("DELETE", _path_of(reference_id))


def parse_voices(version: Mapping[str, Any]) -> tuple[ServerVoice, ...]:
    """The voices that `/version` lists, in the server's order. Raises UnexpectedMessage."""
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
        raise InvalidRequest(f"{reference_id!r} is not a reference id")
    return f"{_REFERENCES}/{quote(reference_id, safe='')}"


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
        raise UnexpectedMessage("the server's answer is not a reference object") from None
