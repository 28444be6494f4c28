"""LiveKit's ElevenLabs plugin against a server: BASE_URL TOKEN FOLDER OPTIONS."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
from livekit import rtc
from livekit.agents import APIError, APIStatusError, tokenize
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT, APIConnectOptions
from livekit.plugins.elevenlabs import TTS, VoiceSettings

ONCE = APIConnectOptions(max_retry=0)
Report = dict[str, Any]


class Ear:
    """Keeps what is heard of a stream, and the words with their seconds."""

    def __init__(self) -> None:
        self.frames: list[rtc.AudioFrame] = []
        self.words: list[tuple[str, float, float]] = []
        self.heard = asyncio.Event()

    def hear(self, frame: rtc.AudioFrame) -> None:
        self.frames.append(frame)
        for word in frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, ()):
            self.words.append((str(word), word.start_time, word.end_time))
        self.heard.set()

    def keep(self, file: Path) -> int:
        """The sample rate of what was kept."""
        whole = rtc.combine_audio_frames(self.frames)
        file.write_bytes(bytes(whole.data))
        return whole.sample_rate


async def streamed(tts: TTS, text: str, file: Path, *, pause: bool = False) -> Report:
    """Words one by one; with `pause`, the last one comes only after sound was heard."""
    ear = Ear()
    *most, last = text.split()
    async with tts.stream(conn_options=ONCE) as stream:

        async def listen() -> None:
            async for audio in stream:
                ear.hear(audio.frame)

        listening = asyncio.create_task(listen())
        for word in most:
            stream.push_text(word + " ")
        if pause:
            await asyncio.wait_for(ear.heard.wait(), 60)
        stream.push_text(last)
        stream.end_input()
        await listening
    return {"rate": ear.keep(file), "words": ear.words}


async def interrupted(tts: TTS, text: str) -> int:
    """Bytes heard of a stream that is closed in its midst."""
    ear = Ear()
    async with tts.stream(conn_options=ONCE) as stream:
        stream.push_text(text + " And then ")
        async for audio in stream:
            ear.hear(audio.frame)
            break
    return sum(len(frame.data) for frame in ear.frames)


async def whole(tts: TTS, text: str, file: Path) -> int:
    ear = Ear()
    async with tts.synthesize(text, conn_options=ONCE) as stream:
        async for audio in stream:
            ear.hear(audio.frame)
    return ear.keep(file)


async def refused(options: Report, text: str, **more: Any) -> Report:
    """What the plugin makes of an address or a token that is refused, whole and streamed."""
    tts = TTS(**{**options, **more})
    told: Report = {}
    try:
        async with tts.synthesize(text, conn_options=ONCE) as stream:
            async for _ in stream:
                pass
    except APIStatusError as error:
        told["whole"] = error.status_code
    try:
        async with tts.stream(conn_options=ONCE) as stream:
            stream.push_text(text)
            stream.end_input()
            async for _ in stream:
                pass
    except APIError as error:
        told["streamed"] = [type(error).__name__, getattr(error, "status_code", None), str(error)]
    await tts.aclose()
    return told


async def main(base_url: str, token: str, folder: Path, given: Report) -> None:
    text = given["text"]
    report: Report = {"version": version("livekit-plugins-elevenlabs")}
    async with aiohttp.ClientSession() as session:
        options = {
            "voice_id": given["voice"],
            "base_url": base_url,
            "api_key": token,
            "http_session": session,
        }
        tts = TTS(**options, encoding="pcm_24000")
        report["voices"] = [[v.id, v.name, v.category] for v in await tts.list_voices()]
        report["whole"] = await whole(tts, text, folder / "whole.raw")
        report["streamed"] = await streamed(tts, text, folder / "streamed.raw", pause=True)
        both = [streamed(tts, text, folder / f"both{number}.raw") for number in range(2)]
        report["both"] = await asyncio.gather(*both)
        report["interrupted"] = await interrupted(tts, f"{text} " * 4)
        report["again"] = await streamed(tts, text, folder / "again.raw")
        await tts.aclose()
        for encoding in ("mp3_22050_32", "opus_48000_64"):
            tts = TTS(**options, encoding=encoding)
            report[encoding] = await streamed(tts, text, folder / f"{encoding}.raw")
            await tts.aclose()
        words = tokenize.basic.WordTokenizer(ignore_punctuation=False)
        tts = TTS(
            **options,
            encoding="pcm_24000",
            auto_mode=False,
            word_tokenizer=words,
            chunk_length_schedule=[50],
            voice_settings=VoiceSettings(stability=0.5, similarity_boost=0.8, speed=1.2),
        )
        report["by_word"] = await streamed(tts, text, folder / "by_word.raw")
        report["interrupted_by_word"] = await interrupted(tts, f"{text} " * 200)
        await asyncio.sleep(1.0)  # the connection is still there; is the task?
        report["by_word_again"] = await streamed(tts, text, folder / "by_word_again.raw")
        await tts.aclose()
        report["no_voice"] = await refused(options, text, voice_id="nobody")
        report["no_token"] = await refused(options, text, api_key="wrong")
        tts = TTS(base_url=base_url, api_key=token, http_session=session, encoding="pcm_24000")
        report["default_voice"] = await whole(tts, text, folder / "default.raw")
        await tts.aclose()
    print(json.dumps(report))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), json.loads(sys.argv[4])))
