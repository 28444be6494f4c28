"""Tasks of all dialects, transports and formats at once, many of which their clients leave or cancel."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import orjson

from ..texts import SENTENCES
from .wire import CLOSE, LOST, TEXT, Wire, command, connected, frame, message, post, upgrade

TEXTS: Final = ("Yes.", "One moment, please.", "三個字。", SENTENCES[0])
RATES: Final = (8000, 16000, 24000, 48000)
"""Hz, of those that every format has."""
FORMATS: Final = ("wav", "mp3", "pcm", "opus", "aac", "flac")
HOSTED_FORMATS: Final = ("mp3", "opus", "pcm", "wav")
"""Those of the ElevenLabs dialect."""
LEFT: Final = 0.2
"""Share of the tasks whose client goes away."""
CANCELLED: Final = 0.1
"""Share of the tasks that are cancelled, where a dialect has a word for it."""
LATEST: Final = 0.02
"""Seconds within which either happens, where it does not wait for sound."""
FEWEST_FRAMES: Final = 2
"""Of a task, in every dialect."""
MOST_TASKS: Final = 4
"""On one WebSocket, one after another."""
TASK_TIMEOUT: Final = 60.0

FINISHED, CANCELLED_TASK, WENT = "finished", "cancelled", "left"
EXPECTED: Final = frozenset({FINISHED, CANCELLED_TASK, WENT})
"""The outcomes that are no fault."""
_CLOSE: Final = frame(CLOSE, (1000).to_bytes(2, "big"))

Outcomes = dict[str, Counter[str]]
"""How often tasks ended how, by the way in which they were asked for."""


async def run_mix(
    url: str,
    token: str,
    voice: str,
    tasks: int,
    at_once: int,
    done: Callable[[], None],
    seed: int = 0,
) -> Outcomes:
    """Run so many tasks, so many at once; each of these draws with a seed of its own.

    voice: one of the server's own. done: told after each task.
    """
    mixes = [
        _Mix(
            url,
            token,
            voice,
            random.Random(seed * 1_000_003 + number),
            len(range(number, tasks, at_once)),
        )
        for number in range(at_once)
    ]
    outcomes: Outcomes = {name: Counter() for name in _WAYS}
    async with asyncio.TaskGroup() as group:
        for mix in mixes:
            group.create_task(mix.run(outcomes, done))
    return outcomes


@dataclass(slots=True)
class _Mix:
    """Tasks one after another. left: how many are still to be run."""

    url: str
    token: str = field(repr=False)
    voice: str
    chance: random.Random
    left: int

    async def run(self, outcomes: Outcomes, done: Callable[[], None]) -> None:
        while self.left > 0:
            name = self.chance.choice(_NAMES)
            for outcome in await self._outcomes(_WAYS[name]):
                outcomes[name][outcome] += 1
                self.left -= 1
                done()

    async def _outcomes(self, way: _Answer | _Socket) -> list[str]:
        """How a few tasks ended, all on one connection; one at least."""
        found: list[str] = []
        try:
            async with asyncio.timeout(TASK_TIMEOUT), connected(self.url) as wire:
                await way.run(self, wire, found)
        except TimeoutError:
            found.append("took too long")
        except LOST as error:
            found.append(f"lost: {type(error).__name__}")
        return found

    def leaves(self) -> bool:
        return self.chance.random() < LEFT

    async def moment(self, wire: Wire, *, frames: bool) -> None:
        """Let a random time pass, or a random number of frames or bytes arrive."""
        number = self.chance.randint(0, FEWEST_FRAMES)
        if number == 0:
            await asyncio.sleep(self.chance.uniform(0, LATEST))
        for _ in range(number):
            await (wire.frame() if frames else wire.read(4096))

    def spoken(self, formats: tuple[str, ...] = FORMATS) -> dict[str, object]:
        """The parameters of the cosyvoice dialect."""
        return {
            "mode": "fast_replication",
            "reference_audio_id": self.voice,
            "output_format": self.chance.choice(formats),
            "sample_rate": self.chance.choice(RATES),
        }

    def text(self) -> str:
        return self.chance.choice(TEXTS)

    def hosted(self) -> str:
        """An output format of the ElevenLabs dialect."""
        return f"{self.chance.choice(HOSTED_FORMATS)}_{self.chance.choice(RATES)}"


# Answers over HTTP


@dataclass(frozen=True, slots=True)
class _Answer:
    """request: to be sent. end: what the last bytes of a complete answer hold."""

    request: Callable[[_Mix], bytes]
    end: bytes

    async def run(self, mix: _Mix, wire: Wire, found: list[str]) -> None:
        """Ask, and read the answer, unless the client leaves before."""
        await wire.send(self.request(mix))
        if mix.leaves():
            await mix.moment(wire, frames=False)
            found.append(WENT)
            return
        status = await wire.status()
        last = b""
        while data := await wire.read():
            last = (last + data)[-1000:]
        if status != 200:
            found.append(str(status))
        else:
            found.append(FINISHED if self.end in last else "no end")


def _rest(mix: _Mix, *, stream: bool) -> bytes:
    wanted = {**mix.spoken(), "text": mix.text()}
    content = {"model": "CosyVoice2-0.5B", "input": wanted, "stream": stream}
    return post("/api/v1/audio/speech", mix.token, content)


def _openai(mix: _Mix, stream_format: str) -> bytes:
    content = {
        "model": "tts-1",
        "voice": mix.voice,
        "input": mix.text(),
        "response_format": mix.chance.choice(FORMATS),
        "stream_format": stream_format,
    }
    return post("/v1/audio/speech", mix.token, content)


def _elevenlabs(mix: _Mix, kind: str) -> bytes:
    path = f"/v1/text-to-speech/{mix.voice}{kind}?output_format={mix.hosted()}"
    return post(path, mix.token, {"text": mix.text()})


_CHUNKED_END: Final = b"\r\n0\r\n\r\n"
_ANSWERS: Final = {
    "rest events": _Answer(lambda mix: _rest(mix, stream=True), b'"finish_reason":"stop"'),
    "rest whole": _Answer(lambda mix: _rest(mix, stream=False), b"}"),
    "openai sound": _Answer(lambda mix: _openai(mix, "audio"), _CHUNKED_END),
    "openai events": _Answer(lambda mix: _openai(mix, "sse"), b"speech.audio.done"),
    "elevenlabs sound": _Answer(lambda mix: _elevenlabs(mix, "/stream"), _CHUNKED_END),
    "elevenlabs lines": _Answer(
        lambda mix: _elevenlabs(mix, "/stream/with-timestamps"), _CHUNKED_END
    ),
    "elevenlabs whole": _Answer(lambda mix: _elevenlabs(mix, "/with-timestamps"), b"}"),
}


# WebSockets


@dataclass(frozen=True, slots=True)
class _Socket:
    """path: of the WebSocket. task: the frames of a task, by its id. cancel: a frame that cancels it.

    end: what the last event of a task holds; failure: what one holds that tells of a failure.
    most: tasks on a connection, one after another.
    """

    path: Callable[[_Mix], str]
    task: Callable[[_Mix, str], bytes]
    end: bytes = b'"task-finished"'
    failure: bytes = b'"task-failed"'
    cancel: Callable[[str], bytes] | None = None
    most: int = MOST_TASKS

    async def run(self, mix: _Mix, wire: Wire, found: list[str]) -> None:
        """Run some tasks, until the client leaves or all are done."""
        await wire.send(upgrade(self.path(mix), mix.token))
        if (status := await wire.status()) != 101:
            found.append(str(status))
            return
        for number in range(mix.chance.randint(1, min(self.most, mix.left))):
            task_id = f"task-{number}"
            await wire.send(self.task(mix, task_id))
            if mix.leaves():
                await mix.moment(wire, frames=True)
                found.append(WENT)
                return
            if self.cancel is not None and mix.chance.random() < CANCELLED:
                await asyncio.sleep(mix.chance.uniform(0, LATEST))
                await wire.send(self.cancel(task_id))
            found.append(await self._outcome(wire))
        await wire.send(_CLOSE)
        await wire.closed()

    async def _outcome(self, wire: Wire) -> str:
        while True:
            opcode, data = await wire.frame()
            if opcode == CLOSE:
                return f"close {int.from_bytes(data[:2], 'big')}"
            if opcode != TEXT:
                continue
            if self.failure in data:
                told = orjson.loads(data)
                header = told.get("header", told)
                return str(header.get("error_code", header.get("error")))
            if self.end in data:
                return CANCELLED_TASK if b'"cancelled"' in data else FINISHED


def _cosyvoice(mix: _Mix, task_id: str, transport: str) -> bytes:
    parameters = {**mix.spoken(), "audio_transport": transport}
    return (
        command("run-task", task_id, model="cosyvoice-v2", parameters=parameters)
        + command("continue-task", task_id, input={"text": mix.text()})
        + command("finish-task", task_id)
    )


def _dashscope(mix: _Mix, task_id: str) -> bytes:
    parameters = {
        "voice": mix.voice,
        "format": mix.chance.choice(("wav", "mp3", "pcm", "opus")),
        "sample_rate": mix.chance.choice(RATES),
    }
    return (
        command("run-task", task_id, model="cosyvoice-v2", parameters=parameters)
        + command("continue-task", task_id, input={"text": mix.text()})
        + command("finish-task", task_id)
    )


def _stream_input(mix: _Mix, task_id: str) -> bytes:
    return message({"text": " "}) + message({"text": mix.text()}) + message({"text": ""})


def _context(mix: _Mix, task_id: str) -> bytes:
    text = {"text": mix.text(), "context_id": task_id, "flush": True}
    return message(text) + message({"context_id": task_id, "close_context": True})


def _path(end: str) -> Callable[[_Mix], str]:
    return lambda mix: f"/v1/text-to-speech/{mix.voice}/{end}?output_format={mix.hosted()}"


def _native(transport: str) -> _Socket:
    return _Socket(
        lambda mix: "/api-ws/v1/audio/speech",
        lambda mix, task_id: _cosyvoice(mix, task_id, transport),
        cancel=lambda task_id: command("cancel-task", task_id),
    )


_SOCKETS: Final = {
    "cosyvoice binary": _native("binary"),
    "cosyvoice base64": _native("base64"),
    "dashscope": _Socket(lambda mix: "/api-ws/v1/inference", _dashscope),
    "elevenlabs socket": _Socket(
        _path("stream-input"), _stream_input, b'"isFinal":true', b'"error"', most=1
    ),
    "elevenlabs contexts": _Socket(
        _path("multi-stream-input"), _context, b'"isFinal":true', b'"error"'
    ),
}
_WAYS: Final[dict[str, _Answer | _Socket]] = {**_ANSWERS, **_SOCKETS}
_NAMES: Final = tuple(_WAYS)
