"""LiveKit's OpenAI plugin against a server: BASE_URL TOKEN FOLDER."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from livekit import rtc
from livekit.agents import APIStatusError, tokenize
from livekit.agents.tts import StreamAdapter, SynthesizedAudio
from livekit.agents.types import APIConnectOptions
from livekit.plugins.openai import TTS

TEXT = "Hello there. This is a test of speech."
ONCE = APIConnectOptions(max_retry=0)


async def kept(stream: AsyncIterator[SynthesizedAudio], file: Path) -> int:
    """Keep a stream's sound as raw PCM; its sample rate."""
    whole = rtc.combine_audio_frames([audio.frame async for audio in stream])
    assert whole.num_channels == 1
    await asyncio.to_thread(file.write_bytes, bytes(whole.data))
    return whole.sample_rate


async def adapted(tts: TTS, file: Path) -> int:
    """Text that comes in pieces, as a language model gives it."""
    adapter = StreamAdapter(tts=tts, sentence_tokenizer=tokenize.basic.SentenceTokenizer())
    async with adapter.stream(conn_options=ONCE) as stream:
        for word in TEXT.split():
            stream.push_text(word + " ")
        stream.end_input()
        return await kept(stream, file)


async def refused(base_url: str) -> int:
    tts = TTS(model="tts-1", voice="alloy", base_url=base_url, api_key="wrong")
    try:
        async with tts.synthesize(TEXT, conn_options=ONCE) as stream:
            async for _ in stream:
                pass
    except APIStatusError as error:
        return error.status_code
    finally:
        await tts.aclose()
    return 0


async def main(base_url: str, token: str, folder: Path) -> None:
    report: dict[str, Any] = {"version": version("livekit-plugins-openai"), "rates": []}
    for name, options in {
        "sse_mp3": {},  # gpt-4o-mini-tts, which it asks for server-sent events
        "audio_mp3": {"model": "tts-1"},
        "audio_pcm": {"model": "tts-1", "response_format": "pcm"},
        "audio_wav": {"model": "tts-1", "response_format": "wav"},
        "audio_opus": {"model": "tts-1", "response_format": "opus"},
        "sse_pcm": {"response_format": "pcm", "instructions": "Speak slowly."},
    }.items():
        tts = TTS(**{"voice": "alloy", **options}, base_url=base_url, api_key=token)
        async with tts.synthesize(TEXT, conn_options=ONCE) as stream:
            report["rates"].append(await kept(stream, folder / f"{name}.raw"))
        if name == "audio_wav":
            report["rates"].append(await adapted(tts, folder / "adapted.raw"))
        await tts.aclose()
    report["refused"] = await refused(base_url)
    print(json.dumps(report))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
