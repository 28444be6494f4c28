"""Pipecat's ElevenLabs services in a pipeline against a server: URL TOKEN FOLDER OPTIONS."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.elevenlabs.tts import ElevenLabsHttpTTSService, ElevenLabsTTSService
from pipecat.services.tts_service import TextAggregationMode, TTSService
from pipecat.workers.runner import WorkerRunner

RATE = 24000
PATIENCE = 60
"""Seconds for what has to come at last, on a busy machine as well."""
Report = dict[str, Any]


class Ear(FrameProcessor):
    """Keeps what sounds pass, and the words with the seconds they are said at."""

    def __init__(self) -> None:
        super().__init__()
        self.sound = bytearray()
        self.words: list[tuple[str, float]] = []
        self.first: float | None = None
        self.heard = asyncio.Event()
        self.stopped = asyncio.Event()
        self.interrupted = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case TTSAudioRawFrame():
                self.sound += frame.audio
                self.heard.set()
            case TTSTextFrame():
                self.first = frame.pts if self.first is None else self.first
                self.words.append((frame.text, ((frame.pts or 0) - (self.first or 0)) / 1e9))
            case TTSStoppedFrame():
                self.stopped.set()
            case InterruptionFrame():
                self.interrupted.set()
        await self.push_frame(frame, direction)


class Run:
    """One pipeline of the service and an ear."""

    def __init__(self, tts: TTSService) -> None:
        self.ear = Ear()
        self.errors: list[str] = []
        self.failed = asyncio.Event()
        self.worker = PipelineWorker(
            Pipeline([tts, self.ear]), params=PipelineParams(audio_out_sample_rate=RATE)
        )

        @self.worker.event_handler("on_pipeline_error")
        async def _(_: PipelineWorker, frame: ErrorFrame) -> None:
            self.errors.append(frame.error)
            self.failed.set()

        self._runner = WorkerRunner(handle_sigint=False)

    async def __aenter__(self) -> Run:
        await self._runner.add_workers(self.worker)
        self._running = asyncio.create_task(self._runner.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.worker.queue_frames([EndFrame()])
        await self._running

    async def say(self, *frames: Frame) -> None:
        await self.worker.queue_frames(list(frames))

    async def said(self) -> None:
        await asyncio.wait_for(self.ear.stopped.wait(), PATIENCE)

    def report(self, file: Path) -> Report:
        file.write_bytes(bytes(self.ear.sound))
        return {"words": self.ear.words, "errors": self.errors}


def answer(text: str) -> list[Frame]:
    """What a language model says, a word at a time."""
    words = [LLMTextFrame(word) for word in text.replace(" ", " \0").split("\0")]
    return [LLMFullResponseStartFrame(), *words, LLMFullResponseEndFrame()]


async def spoken(tts: TTSService, text: str, file: Path) -> Report:
    async with Run(tts) as run:
        await run.say(*answer(text))
        await run.said()
    return run.report(file)


async def two_turns(tts: TTSService, text: str, file: Path) -> Report:
    """The second turn begins after the first was interrupted; only it is kept."""
    async with Run(tts) as run:
        start, *words, _ = answer(f"{text} " * 200)
        await run.say(start, *words)
        await asyncio.wait_for(run.ear.heard.wait(), PATIENCE)
        await run.say(InterruptionFrame())
        await asyncio.wait_for(run.ear.interrupted.wait(), PATIENCE)
        before = len(run.ear.sound)
        run.ear.sound.clear()
        run.ear.words.clear()
        run.ear.stopped.clear()
        run.ear.first = None
        await run.say(*answer(text))
        await run.said()
    return {**run.report(file), "before": before}


async def failed(tts: TTSService, text: str) -> Report:
    async with Run(tts) as run:
        await run.say(TTSSpeakFrame(text))
        await asyncio.wait_for(run.failed.wait(), PATIENCE)
    return {"bytes": len(run.ear.sound), "errors": run.errors}


async def main(url: str, token: str, folder: Path, given: Report) -> None:
    text, voice = given["text"], given["voice"]
    own = ElevenLabsTTSService
    options: Report = {"api_key": token, "url": url.replace("http", "ws", 1)}

    def service(**more: Any) -> TTSService:
        settings = own.Settings(voice=more.pop("voice", voice), **more.pop("settings", {}))
        return own(**{**options, **more}, settings=settings)

    report: Report = {"version": version("pipecat-ai")}
    report["sentences"] = await spoken(service(), text, folder / "sentences.raw")
    token_mode = TextAggregationMode.TOKEN
    report["tokens"] = await spoken(
        service(text_aggregation_mode=token_mode), text, folder / "tokens.raw"
    )
    faster = service(settings={"speed": 1.2, "stability": 0.5, "similarity_boost": 0.8})
    report["faster"] = await spoken(faster, text, folder / "faster.raw")
    report["interrupted"] = await two_turns(service(), text, folder / "second.raw")
    async with aiohttp.ClientSession() as session:
        http = ElevenLabsHttpTTSService(
            api_key=token,
            base_url=url,
            aiohttp_session=session,
            settings=ElevenLabsHttpTTSService.Settings(voice=voice),
        )
        report["http"] = await spoken(http, text, folder / "http.raw")
    report["no_voice"] = await failed(service(voice="nobody"), text)
    report["no_token"] = await failed(service(api_key="wrong"), text)
    print(json.dumps(report))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), json.loads(sys.argv[4])))
