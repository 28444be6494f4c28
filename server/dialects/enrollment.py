"""DashScope's voice enrollment: voices from clips, which are references of their token by another name."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import structlog
from aiohttp import web

from cosyserve.engine.threads import uninterrupted
from cosyserve.protocol.dashscope.enrollment import (
    CreateVoice,
    DeleteVoice,
    EnrolledVoice,
    EnrollmentCall,
    ListVoices,
    QueryVoice,
    UpdateVoice,
    changed_body,
    clip_in,
    created_body,
    is_voice_id,
    listed_body,
    parse_enrollment_call,
    queried_body,
    voice_id,
)
from cosyserve.protocol.errors import PayloadTooLarge, ReferenceAudioNotFound

from ..http.bodies import read_body, read_bounded
from ..http.envelope import CALLER, REQUEST_ID, SERVICES, json_response
from ..voices.intake import Upload
from ..voices.store import Reference
from .references import MAX_FIELDS_BYTES, take_upload

log = structlog.get_logger(__name__)


async def customization(request: web.Request) -> web.Response:
    """Make, change, list, describe or delete a voice."""
    length = request.content_length
    most = request.app[SERVICES].settings.max_message_bytes
    # The body of a clip counts as an upload while it comes.
    call = None if length is None or length > most else await _small(request)
    match call:
        case ListVoices():
            return await _list(request, call)
        case QueryVoice():
            found = (await _clips(request, call.voice_id))[0]
            return json_response(queried_body(request[REQUEST_ID], _voice(found)))
        case DeleteVoice():
            return await _delete(request, call)
        case _:
            return await _enroll(request, call)


async def _small(request: web.Request) -> EnrollmentCall:
    return parse_enrollment_call(await read_body(request))


async def _large(request: web.Request) -> EnrollmentCall:
    services = request.app[SERVICES]
    clip = services.settings.max_upload_bytes
    body = await read_bounded(request, -(-clip // 3) * 4 + MAX_FIELDS_BYTES)
    return await uninterrupted(services.form_threads.run(parse_enrollment_call, body))


async def _enroll(request: web.Request, call: CreateVoice | UpdateVoice | None) -> web.Response:
    """call: None if it is still to be read."""
    services, caller = request.app[SERVICES], request[CALLER]
    older: list[Reference] = []

    async def read() -> Upload:
        asked = call or await _large(request)
        match asked:
            case CreateVoice(target_model, prefix):
                name = voice_id(target_model, prefix, uuid.uuid4().hex)
            case UpdateVoice(name):
                older.extend(await _clips(request, name))
            case _:
                most = services.settings.max_message_bytes
                raise PayloadTooLarge(f"the body is too large; allowed: {most} bytes")
        most = services.settings.max_upload_bytes
        file = await uninterrupted(services.form_threads.run(clip_in, asked.url, most))
        if file is None:
            file = await services.clips.fetch(asked.url)
        return Upload(caller.name, services.owner(caller), file, "", asked.text, name=name)

    stored = await take_upload(services, caller, read)
    for each in older:  # the newest of a name speaks: there was a voice all the time
        await _forget(request, each)
    if older:
        return json_response(changed_body(request[REQUEST_ID]))
    return json_response(created_body(request[REQUEST_ID], stored.name))


async def _list(request: web.Request, call: ListVoices) -> web.Response:
    found = [each for each in await _all(request) if is_voice_id(each.name, call.prefix)]
    newest = list({each.name: each for each in reversed(found)}.values())[::-1]
    begin = call.page_index * call.page_size
    page = newest[begin : begin + call.page_size]
    return json_response(listed_body(request[REQUEST_ID], [_voice(each) for each in page]))


async def _delete(request: web.Request, call: DeleteVoice) -> web.Response:
    for each in await _clips(request, call.voice_id):
        await _forget(request, each)
    return json_response(changed_body(request[REQUEST_ID]))


async def _forget(request: web.Request, clip: Reference) -> None:
    services = request.app[SERVICES]
    try:
        await services.store.delete(services.owner(request[CALLER]), clip.id)
    except ReferenceAudioNotFound:  # somebody was faster
        return
    log.info("reference_deleted", reference_id=clip.id, caller=request[CALLER].name)


async def _clips(request: web.Request, wanted: str) -> list[Reference]:
    """A voice's clips, the newest first: more than one only while it is changed.

    Raises ReferenceAudioNotFound.
    """
    found = [each for each in await _all(request) if is_voice_id(wanted) and each.name == wanted]
    if not found:
        raise ReferenceAudioNotFound(f"input.voice_id: no voice has the id {wanted[:64]!r}")
    return found


def _voice(clip: Reference) -> EnrolledVoice:
    made = datetime.fromtimestamp(clip.created_at, UTC)
    return EnrolledVoice(clip.name, made.strftime("%Y-%m-%d %H:%M:%S"))


async def _all(request: web.Request) -> list[Reference]:
    """The references that the caller sees, the newest first."""
    services = request.app[SERVICES]
    most = services.settings.max_references_per_token
    return await services.store.list(services.owner(request[CALLER]), most, "desc")
