"""Every way to have a text spoken: each WebSocket dialect, each HTTP one, streamed and whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from support.engines.fake_engine import RATE
from support.peers.conversations import (
    Addressed,
    Contexts,
    Conversation,
    Requests,
    Responses,
    Tasks,
    Utterances,
    bare,
    batch_item,
    dashscope_address,
    dashscope_events,
    native_events,
    native_whole,
    openai_events,
    timed_lines,
)
from support.peers.peers import Peer, Socket, message, run_task

INTERNAL: Final = "InternalError"


@dataclass(frozen=True)
class Way:
    """transport: its name in the metrics. keeps: whether the connection takes another task after a failure.

    internal: an InternalError in the dialect's own words, told before the first sound or after it (None:
    nothing tells it, the body is cut off). closes: the code of the close that follows.
    """

    name: str
    transport: str
    open: Callable[[Peer], AbstractAsyncContextManager[Conversation]]
    internal: str
    internal_later: str | None
    keeps: bool = True
    closes: int | None = None

    def __str__(self) -> str:
        return self.name


def _socket(
    path: str, conversation: Callable[[Socket], Conversation]
) -> Callable[[Peer], AbstractAsyncContextManager[Conversation]]:
    @asynccontextmanager
    async def opened(peer: Peer) -> AsyncIterator[Conversation]:
        async with peer.socket(path) as socket:
            yield conversation(socket)

    return opened


@asynccontextmanager
async def _realtime(peer: Peer) -> AsyncIterator[Conversation]:
    async with peer.socket("/api-ws/v1/realtime?model=qwen3-tts-flash-realtime") as socket:
        conversation = Responses(socket)
        await conversation.begin()
        yield conversation


def _requests(
    path: str,
    body: Callable[[str], dict[str, Any]],
    parse: Callable[[bytes], tuple[bytes, str | None]],
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Callable[[Peer], AbstractAsyncContextManager[Conversation]]:
    @asynccontextmanager
    async def opened(peer: Peer) -> AsyncIterator[Conversation]:
        yield Requests(peer, path, body, parse, headers)

    return opened


def _dashscope_run(task_id: str) -> str:
    return message(
        "run-task",
        task_id,
        model="cosyvoice-v2",
        task_group="audio",
        task="tts",
        function="SpeechSynthesizer",
        parameters={"voice": "plain", "format": "pcm", "sample_rate": RATE},
    )


def _native_body(stream: bool) -> Callable[[str], dict[str, Any]]:
    def body(words: str) -> dict[str, Any]:
        asked = {
            "mode": "fast_replication",
            "reference_audio_id": "plain",
            "text": words,
            "output_format": "pcm",
        }
        return {"model": "CosyVoice2-0.5B", "input": asked, "stream": stream}

    return body


def _openai_body(stream_format: str) -> Callable[[str], dict[str, Any]]:
    def body(words: str) -> dict[str, Any]:
        return {
            "model": "tts-1",
            "input": words,
            "voice": "plain",
            "response_format": "pcm",
            "stream_format": stream_format,
        }

    return body


def _batch_body(words: str) -> dict[str, Any]:
    return {"items": [{"input": words}], "voice": "plain", "response_format": "pcm"}


_SPEECH: Final = "/v1/text-to-speech/plain"
_PCM: Final = f"?output_format=pcm_{RATE}"


def _elevenlabs(
    path: str, parse: Callable[[bytes], tuple[bytes, str | None]]
) -> Callable[[Peer], AbstractAsyncContextManager[Conversation]]:
    return _requests(_SPEECH + path + _PCM, lambda words: {"text": words}, parse)


def _dashscope_body(words: str) -> dict[str, Any]:
    asked = {"text": words, "voice": "plain", "format": "pcm", "sample_rate": RATE}
    return {"model": "cosyvoice-v2", "input": asked}


@asynccontextmanager
async def _dashscope_whole(peer: Peer) -> AsyncIterator[Conversation]:
    yield Addressed(peer, _SYNTHESIZER, _dashscope_body, dashscope_address, {})


_SYNTHESIZER: Final = "/api/v1/services/audio/tts/SpeechSynthesizer"
_SSE: Final = {"X-DashScope-SSE": "enable"}
_ELEVENLABS: Final = "internal_server_error"
_HTTP: Final = "500 InternalError"
_OPENAI: Final = "500 internal_error"

SOCKETS: Final = (
    Way(
        "native socket",
        "websocket",
        _socket("/api-ws/v1/audio/speech", lambda socket: Tasks(socket, run_task)),
        *(INTERNAL, INTERNAL),
    ),
    Way(
        "dashscope socket",
        "dashscope",
        _socket("/api-ws/v1/inference", lambda socket: Tasks(socket, _dashscope_run)),
        *(INTERNAL, INTERNAL),
        keeps=False,
        closes=1000,
    ),
    Way(
        "dashscope_realtime socket",
        "dashscope_realtime",
        _realtime,
        *(INTERNAL, INTERNAL),
    ),
    Way(
        "elevenlabs stream-input",
        "elevenlabs",
        _socket(f"{_SPEECH}/stream-input{_PCM}", lambda socket: Contexts(socket, named=False)),
        *(_ELEVENLABS, _ELEVENLABS),
        keeps=False,
        closes=1008,
    ),
    Way(
        "elevenlabs multi-stream-input",
        "elevenlabs",
        _socket(f"{_SPEECH}/multi-stream-input{_PCM}", lambda socket: Contexts(socket, named=True)),
        *(_ELEVENLABS, _ELEVENLABS),
    ),
    Way(
        "vllm_omni socket",
        "vllm_omni",
        _socket("/v1/audio/speech/stream", Utterances),
        *(INTERNAL, INTERNAL),
    ),
)
_URL: Final = "/api/v1/audio/speech"
HTTP: Final = (
    Way("rest events", "rest", _requests(_URL, _native_body(True), native_events), _HTTP, INTERNAL),
    Way("rest whole", "rest", _requests(_URL, _native_body(False), native_whole), _HTTP, _HTTP),
    Way(
        "dashscope events",
        "dashscope",
        _requests(_SYNTHESIZER, _dashscope_body, dashscope_events, _SSE),
        *(_HTTP, INTERNAL),
    ),
    Way("dashscope whole", "dashscope", _dashscope_whole, _HTTP, _HTTP),
    Way(
        "openai sound",
        "openai",
        _requests("/v1/audio/speech", _openai_body("audio"), bare),
        *(_OPENAI, None),
    ),
    Way(
        "openai events",
        "openai",
        _requests("/v1/audio/speech", _openai_body("sse"), openai_events),
        *(_OPENAI, "internal_error"),
    ),
    Way(
        "vllm_omni batch",
        "vllm_omni",
        _requests("/v1/audio/speech/batch", _batch_body, batch_item),
        *(INTERNAL, INTERNAL),
    ),
    *(
        Way(
            f"elevenlabs{path}", "elevenlabs", _elevenlabs(path, parse), "500 " + _ELEVENLABS, later
        )
        for path, parse, later in (
            ("", bare, None),
            ("/stream", bare, None),
            ("/with-timestamps", timed_lines, "500 " + _ELEVENLABS),
            ("/stream/with-timestamps", timed_lines, None),
        )
    ),
)
