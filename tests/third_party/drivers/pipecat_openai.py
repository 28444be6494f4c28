"""Pipecat's OpenAI service in a pipeline against a server: BASE_URL TOKEN FOLDER."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import version
from pathlib import Path

from pipecat.frames.frames import EndFrame, ErrorFrame, Frame, TTSAudioRawFrame, TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.workers.runner import WorkerRunner

TEXT = "Hello there. This is a test of speech."


class Ear(FrameProcessor):
    """Keeps what sounds pass."""

    def __init__(self) -> None:
        super().__init__()
        self.sound = bytearray()
        self.rates: set[int] = set()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self.sound += frame.audio
            self.rates.add(frame.sample_rate)
        await self.push_frame(frame, direction)


async def spoken(base_url: str, token: str, text: str) -> tuple[Ear, list[str]]:
    settings = OpenAITTSService.Settings(model="gpt-4o-mini-tts", voice="alloy")
    tts = OpenAITTSService(api_key=token, base_url=base_url, settings=settings)
    ear, errors = Ear(), []
    worker = PipelineWorker(
        Pipeline([tts, ear]), params=PipelineParams(audio_out_sample_rate=24000)
    )

    @worker.event_handler("on_pipeline_error")
    async def _(_: PipelineWorker, frame: ErrorFrame) -> None:
        errors.append(frame.error)

    await worker.queue_frames([TTSSpeakFrame(text), EndFrame()])
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()
    return ear, errors


async def main(base_url: str, token: str, folder: Path) -> None:
    ear, errors = await spoken(base_url, token, TEXT)
    (folder / "speech.raw").write_bytes(ear.sound)
    deaf, refusals = await spoken(base_url, "wrong", TEXT)
    report = {
        "version": version("pipecat-ai"),
        "rates": sorted(ear.rates),
        "errors": errors,
        "refused": {"bytes": len(deaf.sound), "errors": refusals},
    }
    print(json.dumps(report))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
