"""Uploads that are long to decode, come all at once or never end, and a list of thousands of clips."""

from __future__ import annotations

import asyncio
import io
import uuid
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import orjson
import soundfile

from cosyserve.server.voices.record import digest_of, encode_head
from cosyserve.server.voices.store import Reference

from ..wire import connected, request
from .attack import Attack, Ground, Lead
from .requests import UPLOADS

SECONDS: Final = 29
HIGHEST: Final = 192_000
FEW, FLACS, MANY = 4, 6, 16
CHANNELS: Final = 8
"""Of a FLAC: as many as the format has."""
CLIPS: Final = 5000
LISTS: Final = 8
"""Lists asked for at once."""


def clip(seconds: float, rate: int, *, channels: int = 1, kind: str = "WAV") -> bytes:
    """A file with a tone in it that swells and fades, which passes for a voice."""
    times = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * 110 * over * times) / over for over in range(1, 12))
    sound = 0.2 * tone * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * times))
    file = io.BytesIO()
    soundfile.write(
        file, np.repeat(sound[:, None], channels, axis=1), rate, format=kind, subtype="PCM_24"
    )
    return file.getvalue()


def form(sound: bytes) -> tuple[dict[str, str], bytes]:
    """The headers and the body of an upload."""
    body = (
        b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\nA tone.\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="clip"\r\n\r\n'
        + sound
        + b"\r\n--b--\r\n"
    )
    return {
        "Content-Type": "multipart/form-data; boundary=b",
        "Content-Length": str(len(body)),
    }, body


async def _upload(ground: Ground, sent: bytes) -> None:
    """Upload, and delete what has been stored."""
    async with connected(ground.url) as wire:
        await wire.send(sent)
        if await ground.note(wire.status()) != 200:
            return
        stored = orjson.loads(await wire.read())["id"]
    async with connected(ground.url) as wire:
        await wire.send(request("DELETE", f"{UPLOADS}/{stored}", ground.token))
        await ground.note(wire.status(), "delete ")


async def _uploads(ground: Ground, at_once: int, kind: str, channels: int) -> None:
    sound = await asyncio.to_thread(
        clip, max(1.0, SECONDS * ground.scale), HIGHEST, kind=kind, channels=channels
    )
    headers, body = form(sound)
    sent = request("POST", UPLOADS, ground.token, headers, body)
    await ground.repeat(at_once, partial(_upload, ground, sent))


async def _endless(ground: Ground) -> None:
    """Uploads of 20 MB of which a byte comes every second."""
    headers, body = form(bytes(20_000_000))
    begin = request("POST", UPLOADS, ground.token, headers, body)[:1000]

    async def trickle() -> None:
        async with connected(ground.url) as wire:
            await wire.send(begin)
            answered = asyncio.create_task(wire.status())
            while not answered.done():
                await asyncio.wait([answered], timeout=1)
                await wire.send(b"x")
            await ground.note(answered)

    await ground.repeat(MANY, trickle)


def _prepare_clips(folder: Path, owner: str, scale: float) -> None:
    shelf = folder / digest_of(owner)
    shelf.mkdir(parents=True)
    for number in range(max(1, round(CLIPS * scale))):
        reference = Reference(str(uuid.uuid4()), owner, "clip", 0, number, "A tone.", "0")
        (shelf / f"{reference.id}.clip").write_bytes(encode_head(reference, number, b""))


async def _lists(ground: Ground) -> None:
    """Ask for the longest list, and for voices that a list has to be searched for."""
    asked = (
        request("GET", f"{UPLOADS}?limit=1000", ground.token),
        request("GET", "/v1/voices", ground.token),
        request("GET", "/v2/voices?search=nobody", ground.token),
        request("GET", "/v1/audio/voices", ground.token),
    )

    async def ask() -> None:
        for each in asked:
            async with connected(ground.url) as wire:
                await wire.send(each)
                await ground.note(wire.status())
                await wire.rest()

    await ground.repeat(LISTS, ask)


def _with(at_once: int, kind: str, channels: int = 1) -> Lead:
    return partial(_uploads, at_once=at_once, kind=kind, channels=channels)


ATTACKS: Final = (
    Attack("upload-long", f"{FEW} clips at once of {SECONDS} s at 192 kHz", _with(FEW, "WAV")),
    Attack(
        "upload-flac",
        f"{FLACS} FLACs at once of {SECONDS} s at 192 kHz in {CHANNELS} channels",
        _with(FLACS, "FLAC", CHANNELS),
    ),
    Attack("upload-many", f"{MANY} such clips at once", _with(MANY, "WAV")),
    Attack("upload-endless", f"{MANY} uploads at once, a byte every second", _endless),
    Attack(
        "clip-list",
        f"{LISTS} times at once the list of {CLIPS:,} clips",
        _lists,
        prepare=_prepare_clips,
    ),
)
