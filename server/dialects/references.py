"""The native dialect's reference clips, `/api/v1/audio/reference_audio`: upload, list, get, delete."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog
from aiohttp import web

from cosyserve.engine.threads import uninterrupted
from cosyserve.protocol.cosyvoice.rest import deleted_body, parse_list_query, reference_object
from cosyserve.protocol.errors import (
    InvalidParameter,
    PayloadTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)

from ..auth import Caller
from ..errors import as_tts_error
from ..http.bodies import read_bounded
from ..http.envelope import CALLER, SERVICES, json_response
from ..http.forms import Part, boundary_of, parse_form
from ..services import Services
from ..voices.clip import PCM_RATES
from ..voices.consent import parse_consent
from ..voices.intake import Upload
from ..voices.store import Reference

log = structlog.get_logger(__name__)

MAX_TEXT_BYTES = 8 * 1024
MAX_FIELDS_BYTES = 64 * 1024
"""Bytes of a form beside its file: the other fields, the headers and the delimiters."""
MAX_FILENAME = 255
_CONSENT = ("consent_by", "consent_date", "consent_note")


@dataclass(slots=True)
class _Form:
    """The fields of an upload as they come in."""

    file: bytes | None = None
    filename: str = ""
    fields: dict[str, str] = field(default_factory=dict)


async def upload(request: web.Request) -> web.Response:
    services, caller = request.app[SERVICES], request[CALLER]

    async def read() -> Upload:
        return _upload(await _read_form(request, services), caller, services)

    return json_response(reference_object(await take_upload(services, caller, read)))


async def take_upload(
    services: Services, caller: Caller, read: Callable[[], Awaitable[Upload]]
) -> Reference:
    """What becomes of an upload, which is counted, limited and logged.

    read: gives it as it comes. Raises TTSError.
    """
    limit = services.settings.upload_timeout
    try:
        with services.admission.upload(caller):
            async with asyncio.timeout(limit):
                upload = await read()
            stored = await services.intake.take(upload)
    except TimeoutError:
        services.metrics.upload("refused", 0)
        raise RequestTimeout(f"the upload took longer than {limit:g} s") from None
    except Exception as error:
        failure = as_tts_error(error)
        services.metrics.upload("refused" if failure.status < 500 else "failed", 0)
        raise failure from None  # what nobody foresaw is logged by now
    services.metrics.upload("stored", stored.bytes)
    log.info("reference_stored", reference_id=stored.id, caller=caller.name, bytes=stored.bytes)
    return stored


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


def _upload(form: _Form, caller: Caller, services: Services) -> Upload:
    """What the form says. Raises InvalidParameter."""
    if form.file is None:
        raise InvalidParameter("file: missing; it must be an audio file (WAV, MP3, PCM, ...)")
    text = form.fields.get("text", "").strip()
    if not text:
        raise InvalidParameter("text: missing; it must be the transcript of the file")
    name = services.voices.check_name(form.fields["name"]) if "name" in form.fields else ""
    pcm_rate = _pcm_rate(form.fields.get("sample_rate"))
    consent = parse_consent(*(form.fields.get(name) for name in _CONSENT))
    seen_by = services.owner(caller)
    return Upload(caller.name, seen_by, form.file, form.filename, text, pcm_rate, name, consent)


def _pcm_rate(value: str | None) -> int | None:
    if value is None:
        return None
    low, high = PCM_RATES
    if not value.isascii() or not value.isdigit() or not low <= int(value[:9]) <= high:
        raise InvalidParameter(
            f"sample_rate: {value[:40]!r} is not allowed; allowed: {low} to {high} (Hz of raw PCM)"
        )
    return int(value)


async def _read_form(request: web.Request, services: Services) -> _Form:
    """All else in the form than the file has MAX_FIELDS_BYTES together."""
    limit = services.settings.max_upload_bytes
    if request.content_type != "multipart/form-data":
        raise UnsupportedMediaType("an upload is multipart/form-data with the fields file and text")
    boundary = boundary_of(request.headers["Content-Type"])
    try:
        body = await read_bounded(request, limit + MAX_FIELDS_BYTES)
    except PayloadTooLarge:
        raise PayloadTooLarge(f"file: more than {limit} bytes, the most allowed") from None
    return await uninterrupted(services.form_threads.run(_parsed, body, boundary, limit))


def _parsed(body: bytes, boundary: bytes, limit: int) -> _Form:
    form = _Form()
    for part in parse_form(body, boundary):
        _take(part, form, limit)
    return form


def _take(part: Part, form: _Form, limit: int) -> None:
    if part.name == "file" and part.filename is not None:
        form.file = _bounded(part, limit)
        form.filename = part.filename.replace("\\", "/").rpartition("/")[2][:MAX_FILENAME]
    elif part.name in ("text", "sample_rate", "name", *_CONSENT):
        try:
            form.fields[part.name] = _bounded(part, MAX_TEXT_BYTES).decode()
        except UnicodeDecodeError:
            raise InvalidParameter(f"{part.name}: must be UTF-8 text") from None


def _bounded(part: Part, limit: int) -> bytes:
    if len(part.data) > limit:
        raise PayloadTooLarge(f"{part.name}: more than {limit} bytes, the most allowed")
    return bytes(part.data)
