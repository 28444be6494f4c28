"""The openai SDK against a server: BASE_URL TOKEN FOLDER. What it got as sound goes to the folder."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import openai

TEXT = "Hello there. This is a test of speech."
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")


def whole(client: openai.OpenAI, folder: Path) -> None:
    for form in FORMATS:
        speech = client.audio.speech.create(
            model="tts-1", voice="alloy", input=TEXT, response_format=form
        )
        speech.write_to_file(folder / f"whole.{form}")


def streamed(client: openai.OpenAI, folder: Path) -> dict[str, Any]:
    create = client.audio.speech.with_streaming_response.create
    with create(model="tts-1-hd", voice="alloy", input=TEXT, response_format="wav") as answer:
        chunks = list(answer.iter_bytes())
    (folder / "streamed.wav").write_bytes(b"".join(chunks))
    with create(
        model="gpt-4o-mini-tts", voice={"id": "alloy"}, input=TEXT, speed=4, instructions="Whisper."
    ) as answer:
        answer.read()
        return {
            "chunks": len(chunks),
            "content_type": answer.headers["content-type"],
            "speed": answer.headers["x-effective-speed"],
            "request_id": answer.request_id,
        }


def events(client: openai.OpenAI, folder: Path) -> list[dict[str, Any]]:
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts",
        voice="alloy",
        input=TEXT,
        response_format="pcm",
        stream_format="sse",
    ) as answer:
        found = [json.loads(line[6:]) for line in answer.iter_lines() if line]
    sound = b"".join(base64.b64decode(event.pop("audio")) for event in found[:-1])
    (folder / "events.pcm").write_bytes(sound)
    return found


async def asynchronous(base_url: str, token: str, folder: Path) -> None:
    async with openai.AsyncOpenAI(base_url=base_url, api_key=token, max_retries=0) as client:
        speech = await client.audio.speech.create(
            model="tts-1", voice="alloy", input=TEXT, response_format="pcm"
        )
        (folder / "async.pcm").write_bytes(await speech.aread())
        async with client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input=TEXT, response_format="flac"
        ) as answer:
            await answer.stream_to_file(folder / "async.flac")


def failures(client: openai.OpenAI, base_url: str) -> dict[str, Any]:
    good: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": "Hello."}
    stranger = openai.OpenAI(base_url=base_url, api_key="wrong", max_retries=0)
    tries = {
        "token": lambda: stranger.audio.speech.create(**good),
        "model": lambda: client.audio.speech.create(**{**good, "model": "gpt-9"}),
        "voice": lambda: client.audio.speech.create(**{**good, "voice": "nobody"}),
        "speed": lambda: client.audio.speech.create(**good, speed=9),
        "format": lambda: client.audio.speech.create(**good, response_format="midi"),
        "long": lambda: client.audio.speech.create(**{**good, "input": "x" * 200_001}),
        "model_id": lambda: client.models.retrieve("gpt-9"),
        "nowhere": lambda: client.audio.transcriptions.create(model="whisper-1", file=b"x"),
    }
    found = {name: failure(call) for name, call in tries.items()}
    with contextlib.ExitStack() as held:
        create = client.audio.speech.with_streaming_response.create
        for _ in range(2):
            held.enter_context(create(**{**good, "input": "Speak on. " * 5000}))
        found["busy"] = failure(lambda: client.audio.speech.create(**good))
    return found


def failure(call: Any) -> dict[str, Any]:
    try:
        call()
    except openai.APIStatusError as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {
            "class": kinds[0],
            "status": error.status_code,
            "code": error.code,
            "param": error.param,
            "type": error.type,
            "message": error.message,
        }
    return {}


def main(base_url: str, token: str, folder: Path) -> None:
    client = openai.OpenAI(base_url=base_url, api_key=token, max_retries=0)
    whole(client, folder)
    report = {
        "version": openai.__version__,
        "streamed": streamed(client, folder),
        "events": events(client, folder),
        "models": [model.id for model in client.models.list()],
        "model": client.models.retrieve("gpt-4o-mini-tts-2025-12-15").id,
        "failures": failures(client, base_url),
    }
    asyncio.run(asynchronous(base_url, token, folder))
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
