"""The native dialect's reference clips, `/api/v1/audio/reference_audio`: upload, list, get, delete."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass, field

import structlog
from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from cosyserve.engine.interface import EngineNotReady
from cosyserve.protocol.cosyvoice.rest import deleted_body, parse_list_query, reference_object
from cosyserve.protocol.errors import (
    InvalidParameter,
    PayloadTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)

from ..auth import Caller
from ..errors import as_tts_error
from ..http.envelope import CALLER, SERVICES, json_response
from ..services import Services
from ..voices.clip import PCM_RATES, ClipLimits, content_id, decode_clip
from ..voices.store import Reference

log = structlog.get_logger(__name__)

MAX_TEXT_BYTES = 8 * 1024
MAX_FILENAME = 255


@dataclass(slots=True)
class _Form:
    """The fields of an upload as they come in."""

    file: bytes | None = None
    filename: str = ""
    fields: dict[str, str] = field(default_factory=dict)


async def upload(request: web.Request) -> web.Response:
    services, caller = request.app[SERVICES], request[CALLER]
    limit = services.settings.upload_timeout
    try:
        with services.admission.upload():
            async with asyncio.timeout(limit):
                form = await _read_form(request, services.settings.max_upload_bytes)
            stored = await _store(form, caller, services)
    except TimeoutError:
        services.metrics.upload("refused", 0)
        raise RequestTimeout(f"the upload took longer than {limit:g} s") from None
    except Exception as error:
        failure = as_tts_error(error)
        services.metrics.upload("refused" if failure.status < 500 else "failed", 0)
        raise failure from None  # what nobody foresaw is logged by now
    services.metrics.upload("stored", stored.bytes)
    log.info("reference_stored", reference_id=stored.id, caller=caller.name, bytes=stored.bytes)
    return json_response(reference_object(stored))


async def listing(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    query = parse_list_query(request.query)
    owner = services.owner(request[CALLER])
    found = await services.store.list(owner, query.limit, query.order)
    return json_response([reference_object(stored) for stored in found])


async def get(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    owner = services.owner(request[CALLER])
    stored = await services.store.get(owner, request.match_info["id"])
    return json_response(reference_object(stored))


async def delete(request: web.Request) -> web.Response:
    services, reference_id = request.app[SERVICES], request.match_info["id"]
    await services.store.delete(services.owner(request[CALLER]), reference_id)
    log.info("reference_deleted", reference_id=reference_id, caller=request[CALLER].name)
    return json_response(deleted_body(reference_id))


async def _store(form: _Form, caller: Caller, services: Services) -> Reference:
    """Judge the clip, make its voice, and keep it; nothing is kept of one that is refused."""
    if form.file is None:
        raise InvalidParameter("file: missing; it must be an audio file (WAV, MP3, PCM, ...)")
    text = form.fields.get("text", "").strip()
    if not text:
        raise InvalidParameter("text: missing; it must be the transcript of the file")
    name = services.voices.check_name(form.fields["name"]) if "name" in form.fields else ""
    limits = ClipLimits.of(services.settings)
    pcm_rate = _pcm_rate(form.fields.get("sample_rate"))
    clip = await asyncio.to_thread(decode_clip, form.file, pcm_rate, limits)
    digest = await asyncio.to_thread(content_id, clip, text)
    try:
        await services.voices.learn(services.owner(caller), digest, clip, text)
    except EngineNotReady:
        log.warning("voice_not_prepared", reason="the engine is not ready")
    stored = Reference(
        id=str(uuid.uuid4()),
        owner=caller.name,
        filename=form.filename,
        bytes=len(form.file),
        created_at=int(time.time()),
        text=text,
        content_id=digest,
        pcm_rate=pcm_rate,
        name=name,
    )
    await services.store.put(stored, form.file)
    return stored


def _pcm_rate(value: str | None) -> int | None:
    if value is None:
        return None
    low, high = PCM_RATES
    if not value.isascii() or not value.isdigit() or not low <= int(value[:9]) <= high:
        raise InvalidParameter(
            f"sample_rate: {value[:40]!r} is not allowed; allowed: {low} to {high} (Hz of raw PCM)"
        )
    return int(value)


async def _read_form(request: web.Request, limit: int) -> _Form:
    if request.content_type != "multipart/form-data":
        raise UnsupportedMediaType("an upload is multipart/form-data with the fields file and text")
    form = _Form()
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise InvalidParameter("nested multipart bodies are not supported")
            await _read_part(part, form, limit)
    # What aiohttp raises for a body that is no multipart, or has a part with a head that is none.
    except (ValueError, HttpProcessingError, web.RequestPayloadError) as error:
        raise InvalidParameter("the body is not valid multipart/form-data") from error
    return form


async def _read_part(part: BodyPartReader, form: _Form, limit: int) -> None:
    if part.name == "file" and part.filename is not None:
        form.file = await _bounded(part, limit, "file")
        form.filename = _file_name(part.filename)
    elif part.name in ("text", "sample_rate", "name"):
        raw = await _bounded(part, MAX_TEXT_BYTES, part.name)
        try:
            form.fields[part.name] = raw.decode()
        except UnicodeDecodeError:
            raise InvalidParameter(f"{part.name}: must be UTF-8 text") from None
    else:
        await _bounded(part, limit, part.name or "an unnamed field")


def _file_name(name: str) -> str:
    """The last part of a path, in characters of Unicode: a head may hold any bytes."""
    whole = name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\\", "/").rpartition("/")[2][:MAX_FILENAME]


async def _bounded(part: BodyPartReader, limit: int, name: str) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk(64 * 1024):
        data += chunk
        if len(data) > limit:
            raise PayloadTooLarge(f"{name[:40]}: more than {limit} bytes, the most allowed")
    return bytes(part.decode(bytes(data)))
