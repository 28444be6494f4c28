"""Which voice a command speaks with: a clip to upload, a reference, or one of the server's own."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from .client import Client
from .errors import ClientError, InvalidRequest, NotFound
from .references import ReferenceAudio


@asynccontextmanager
async def chosen_voice(
    client: Client,
    voice: str | None,
    *,
    text: str | None = None,
    sample_rate: int | None = None,
    keep: bool = False,
) -> AsyncIterator[str]:
    """The id to speak with. A clip that this uploaded is deleted in the end, unless `keep`.

    voice: a file, an id, a name, or None for the server's first voice.
    text: the words spoken in the file. sample_rate: Hz, if the file is raw PCM.
    Raises InvalidRequest and what REST calls raise.
    """
    if voice is None or not await asyncio.to_thread(Path(voice).is_file):
        yield await _known_voice(client, voice)
        return
    if not text:
        raise InvalidRequest(f"say what is spoken in {voice}: --voice-text 'its words'")
    reference, ours = await _uploaded(client, Path(voice), text, sample_rate)
    try:
        yield reference.id
    except BaseException:
        if ours and not keep:
            # The failure that is on its way says more than one of the deletion.
            with suppress(ClientError):
                await client.references.delete(reference.id)
        raise
    if ours and not keep:
        with suppress(NotFound):  # somebody was faster
            await client.references.delete(reference.id)


async def _known_voice(client: Client, voice: str | None) -> str:
    if voice is not None and ("/" in voice or "\\" in voice):
        raise InvalidRequest(f"there is no file {voice}, and no voice can have this name")
    voices = await client.voices()
    if voice is None:
        if not voices:
            raise InvalidRequest(
                "this server has no voice of its own: give a clip with --voice FILE --voice-text"
            )
        return voices[0].id
    for known in voices:
        if voice.casefold() in (known.id.casefold(), known.name.casefold()):
            return known.id
    return voice


async def _uploaded(
    client: Client, path: Path, text: str, sample_rate: int | None
) -> tuple[ReferenceAudio, bool]:
    """The clip on the server, and whether this call put it there.

    The upload's name holds a digest of its bytes, so that an equal one is known again by the list.
    """
    try:
        data = await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}") from None
    digest = hashlib.sha256(data + str(sample_rate).encode()).hexdigest()[:16]
    filename = f"{path.stem}-{digest}{path.suffix}"
    for reference in await client.references.list(limit=1000):
        if (reference.filename, reference.bytes, reference.text) == (filename, len(data), text):
            return reference, False
    added = await client.references.add(data, text, filename=filename, sample_rate=sample_rate)
    return added, True
