"""Sound without end: whole answers, asked for together and unread, and streams that nobody reads."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from ...texts import SENTENCES
from ..wire import LOST, Wire, command, connected, post, upgrade
from .attack import Attack, Ground

AT_ONCE: Final = 6
RATE: Final = 48_000
CHARACTERS: Final = 36_000
"""Of a text that takes about 2,600 s to say: 250 MB of sound at this rate."""
BREAKS: Final = 360
"""Of 10 s each, the longest: an hour in 7 kB."""
UNREAD: Final = 5.0
"""Seconds for which a whole answer waits for its reader."""
FEW, MANY = 6, 50
HELD: Final = 16.0
"""Seconds for which a stream is held unread: longer than the server has patience, some 13."""
STEP: Final = 0.25
"""Seconds between one more and the next."""


def long_text(characters: int) -> str:
    """Sentences of that many characters in all, or a few more."""
    text = " ".join(SENTENCES) + " "
    return text * -(-characters // len(text))


def _spoken(ground: Ground, text: str, *, stream: bool) -> dict[str, object]:
    wanted = {
        "text": text,
        "mode": "fast_replication",
        "reference_audio_id": ground.voice,
        "output_format": "wav",
        "sample_rate": RATE,
        "enable_ssml": text.startswith("<"),
    }
    return {"model": "CosyVoice2-0.5B", "input": wanted, "stream": stream}


async def _together(ground: Ground, request: bytes) -> None:
    """Ask for several at once; read none before the last is there, nor for a while then."""
    waiting = asyncio.Barrier(ground.many(AT_ONCE))

    async def ask() -> None:
        async with connected(ground.url) as wire:
            try:
                await wire.send(request)
                ground.got[str(await wire.status())] += 1  # it takes as long as the speech
            except LOST:
                ground.got["cut off"] += 1
            except asyncio.CancelledError:
                ground.got["not ready yet"] += 1
                raise
            await waiting.wait()
            await asyncio.sleep(UNREAD * ground.scale)

    await ground.repeat(AT_ONCE, ask)


async def _answers(ground: Ground) -> None:
    text = long_text(ground.many(CHARACTERS))
    await _together(
        ground, post("/api/v1/audio/speech", ground.token, _spoken(ground, text, stream=False))
    )


async def _breaks(ground: Ground) -> None:
    text = "<speak>" + '<break time="10s"/>' * ground.many(BREAKS) + "</speak>"
    await _together(
        ground, post("/api/v1/audio/speech", ground.token, _spoken(ground, text, stream=False))
    )


async def _timestamps(ground: Ground) -> None:
    path = f"/v1/text-to-speech/{ground.voice}/with-timestamps?output_format=pcm_{RATE}"
    text = long_text(ground.many(40_000))
    await _together(ground, post(path, ground.token, {"text": text}))


async def _unread(ground: Ground) -> None:
    """Hold few streams unread, then one more every moment; each time one ends, begin another."""
    ways = (_events, _sound, _timed, _socket)

    async def hold(number: int) -> None:
        await asyncio.sleep(max(0, number - FEW) * STEP * ground.scale)
        await ground.repeat(1, partial(ways[number % len(ways)], ground))

    async with asyncio.TaskGroup() as group:
        for number in range(ground.many(MANY)):
            group.create_task(hold(number))


async def _events(ground: Ground) -> None:
    spoken = _spoken(ground, long_text(ground.many(CHARACTERS)), stream=True)
    await _hold_answer(ground, post("/api/v1/audio/speech", ground.token, spoken))


async def _sound(ground: Ground) -> None:
    spoken = {
        "model": "tts-1",
        "voice": ground.voice,
        "input": long_text(ground.many(CHARACTERS)),
        "response_format": "wav",
    }
    await _hold_answer(ground, post("/v1/audio/speech", ground.token, spoken))


async def _timed(ground: Ground) -> None:
    path = f"/v1/text-to-speech/{ground.voice}/stream/with-timestamps?output_format=pcm_{RATE}"
    await _hold_answer(
        ground, post(path, ground.token, {"text": long_text(ground.many(CHARACTERS))})
    )


async def _hold_answer(ground: Ground, request: bytes) -> None:
    async with connected(ground.url) as wire:
        await wire.send(request)
        if await ground.note(wire.status()) == 200:
            await _hold(ground, wire)


async def _socket(ground: Ground) -> None:
    parameters = {
        "mode": "fast_replication",
        "reference_audio_id": ground.voice,
        "output_format": "pcm",
        "sample_rate": RATE,
        "audio_transport": "binary",
    }
    text = long_text(ground.many(CHARACTERS) // 2)  # a message may have 20,000
    async with connected(ground.url) as wire:
        await wire.send(upgrade("/api-ws/v1/audio/speech", ground.token))
        if await ground.note(wire.status()) == 101:
            await wire.send(
                command("run-task", "held", model="cosyvoice-v2", parameters=parameters)
                + command("finish-task", "held", input={"text": text})
            )
            await _hold(ground, wire)


async def _hold(ground: Ground, wire: Wire) -> None:
    """Read nothing; then see whether the server has lost its patience."""
    await asyncio.sleep(HELD * ground.scale)
    try:
        async with asyncio.timeout(1.0):
            await wire.rest()
    except TimeoutError:
        ground.got["held unread, still sending"] += 1
    except OSError:
        ground.got["held unread, cut off"] += 1
    else:
        ground.got["held unread, ended"] += 1


ATTACKS: Final = (
    Attack("whole-answers", f"{AT_ONCE} unstreamed answers of 250 MB", _answers, 30),
    Attack("whole-breaks", f"{AT_ONCE} unstreamed answers, {BREAKS} breaks of 10 s each", _breaks),
    Attack("whole-timestamps", f"{AT_ONCE} whole answers with the times of 40 kB", _timestamps, 30),
    Attack("unread-streams", f"{FEW}, then up to {MANY} streams that nobody reads", _unread, 30),
)
