"""A text in pieces through every WebSocket dialect, and whole through every HTTP one."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from support.engines.fake_engine import RATE
from support.peers.peers import Peer, Socket, message, run_task, text

VOICE: Final = "/v1/text-to-speech/plain"
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
PCM: Final = f"output_format=pcm_{RATE}"


@dataclass(frozen=True)
class Told:
    """Everything up to the end of a text. error: what told of its failure."""

    messages: list[dict[str, Any]]
    sound: bytes
    error: str

    @property
    def seconds(self) -> float:
        return len(self.sound) / RATE / 2


@dataclass(frozen=True)
class Talk:
    """A way to say a text in pieces; None is a flush. ssml: as it is asked for there, if it is.

    more: fields of the parameters, or of the first message.
    """

    name: str
    path: str
    run: str = ""
    task_id: str = ""

    def __str__(self) -> str:
        return self.name

    def frames(
        self,
        pieces: Sequence[str | None],
        *,
        ssml: bool = False,
        more: Mapping[str, Any] = _NOTHING,
    ) -> list[str]:
        if self.run:
            asked = json.loads(self.run)
            asked["payload"]["parameters"] |= {"enable_ssml": ssml, **more}
            flush = message("continue-task", self.task_id, input={"flush": True})
            return [
                json.dumps(asked),
                *(
                    flush if each is None else text("continue-task", self.task_id, each)
                    for each in pieces
                ),
                message("finish-task", self.task_id),
            ]
        context = {"context_id": self.task_id} if self.task_id else {}
        said = [{"flush": True} if each is None else {"text": each} for each in pieces]
        said[0] = {**said[0], **more}
        end = [{"flush": True}, {"close_context": True}] if self.task_id else [{"text": ""}]
        return [json.dumps({**each, **context}) for each in [*said, *end]]

    def address(self, *, ssml: bool = False) -> str:
        return self.path + ("&enable_ssml_parsing=true" if ssml and not self.run else "")

    async def say(
        self,
        peer: Peer,
        pieces: Sequence[str | None],
        *,
        ssml: bool = False,
        more: Mapping[str, Any] = _NOTHING,
    ) -> Told:
        async with peer.socket(self.address(ssml=ssml)) as socket:
            await socket.send(*self.frames(pieces, ssml=ssml, more=more))
            return await self.heard(socket)

    async def heard(self, socket: Socket) -> Told:
        messages: list[dict[str, Any]] = []
        sound = b""
        async for data in socket.raw:
            if isinstance(data, bytes):
                sound += data
                continue
            found = json.loads(data)
            messages.append(found)
            if "header" in found:
                output = found["payload"].get("output", {})
                sound += base64.b64decode(output.get("audio", {}).get("data") or "")
                if found["header"]["event"] in ("task-finished", "task-failed"):
                    return Told(messages, sound, found["header"].get("error_message", ""))
            else:
                sound += base64.b64decode(found.get("audio") or "")
                if "error" in found or found.get("isFinal"):
                    return Told(messages, sound, found.get("message", ""))
        raise AssertionError("the connection ended before the text did")


def _dashscope(task_id: str) -> str:
    parameters = {"voice": "plain", "format": "pcm", "sample_rate": RATE}
    asked = {"task_group": "audio", "task": "tts", "function": "SpeechSynthesizer"}
    return message("run-task", task_id, model="cosyvoice-v2", parameters=parameters, **asked)


OWN: Final = Talk("own", "/api-ws/v1/audio/speech", run_task("t"), "t")
DASHSCOPE: Final = Talk("dashscope", "/api-ws/v1/inference", _dashscope("t"), "t")
STREAM: Final = Talk("stream-input", f"{VOICE}/stream-input?{PCM}")
MULTI: Final = Talk("multi-stream-input", f"{VOICE}/multi-stream-input?{PCM}", task_id="c")
TALKS: Final = (OWN, DASHSCOPE, STREAM, MULTI)


@dataclass(frozen=True)
class Call:
    """A way to have a whole text spoken over HTTP, as bare sound or in JSON."""

    name: str
    path: str
    query: str
    body: dict[str, Any]
    field: str

    def __str__(self) -> str:
        return self.name

    def with_text(self, words: str, **more: Any) -> dict[str, Any]:
        if self.name == "rest":
            return {**self.body, "input": {**self.body["input"], "text": words, **more}}
        return {**self.body, self.field: words, **more}

    async def say(self, peer: Peer, body: bytes | str | dict[str, Any]) -> tuple[int, bytes]:
        """The status, and the sound or the body of the error."""
        data = json.dumps(body) if isinstance(body, dict) else body
        async with peer.http.post(self.path + self.query, data=data) as answer:
            found = await answer.read()
        if answer.status == 200 and self.name == "rest":
            found = base64.b64decode(json.loads(found)["output"]["audio"]["data"])
        return answer.status, found


REST: Final = Call(
    "rest",
    "/api/v1/audio/speech",
    "",
    {
        "model": "cosyvoice-v2",
        "input": {
            "mode": "fast_replication",
            "reference_audio_id": "plain",
            "output_format": "pcm",
        },
        "stream": False,
    },
    "text",
)
OPENAI: Final = Call(
    "openai",
    "/v1/audio/speech",
    "",
    {"model": "tts-1", "voice": "plain", "response_format": "pcm"},
    "input",
)
ELEVENLABS: Final = Call("elevenlabs", VOICE, f"?{PCM}", {}, "text")
CALLS: Final = (REST, OPENAI, ELEVENLABS)
