"""The server keeps what protocol/openapi.yaml promises."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cosyserve.server.dialects.served import DIALECTS
from cosyserve.server.http.envelope import FILES
from cosyserve.server.routes import build_app
from support.listening.audio import make_file, speechlike
from support.peers.peers import Peer
from support.tools.contracts import load, resolve, validate

OPENAPI = load("openapi.yaml")
METHODS = ("get", "post", "put", "delete", "patch")


async def test_the_routes_are_those_of_the_contract(peer: Peer) -> None:
    app = build_app(peer.server.services, DIALECTS)
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None
        and route.method.lower() in METHODS
        and route.resource.canonical not in app[FILES]
    }
    promised = {
        (method, path)
        for path, item in OPENAPI["paths"].items()
        for method in item
        if method in METHODS and path not in app[FILES]
    }
    short = {
        (method, path.removeprefix("/v1"))
        for method, path in promised
        if path.startswith("/v1/") and OPENAPI["paths"][path][method]["tags"] == ["openai"]
    }
    assert served - {("get", "/api-ws/v1/audio/speech")} == promised | short


def schema_of(path: str, method: str, status: int, kind: str = "application/json") -> Any:
    """What the contract says of an answer; fails if it does not foresee it."""
    answers = OPENAPI["paths"][path][method]["responses"]
    assert str(status) in answers, f"{method} {path} promises no {status}"
    return resolve(OPENAPI, answers[str(status)])["content"][kind]["schema"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("get", "/healthz", None, 200),
        ("get", "/readyz", None, 200),
        ("get", "/version", None, 200),
        ("get", "/api/v1/audio/reference_audio", None, 200),
        ("get", "/api/v1/audio/reference_audio?limit=x", None, 400),
        ("post", "/api/v1/audio/speech", {"model": "x", "input": {}}, 404),
        ("post", "/api/v1/audio/speech", {}, 400),
    ],
)
async def test_answers_are_as_promised(
    peer: Peer, method: str, path: str, body: object, status: int
) -> None:
    async with peer.http.request(method, path, json=body) as answer:
        assert answer.status == status
        found = await answer.json()
    validate(OPENAPI, schema_of(path.partition("?")[0], method, status), found)


async def test_references_are_as_promised(peer: Peer) -> None:
    clip = make_file(speechlike(16000, 2.0), 16000, "wav", "pcm_s16le")
    made = await peer.upload(clip, name="anna")
    one = "/api/v1/audio/reference_audio/{id}"
    for method, status in (("get", 200), ("delete", 200), ("get", 404), ("delete", 404)):
        async with peer.http.request(method, one.format(id=made)) as answer:
            assert answer.status == status
            validate(OPENAPI, schema_of(one, method, status), await answer.json())


@pytest.mark.parametrize("stream", [True, False])
async def test_speech_is_as_promised(peer: Peer, stream: bool) -> None:
    path = "/api/v1/audio/speech"
    asked = {"mode": "fast_replication", "reference_audio_id": "plain", "text": "one two"}
    body = {"model": "CosyVoice2-0.5B", "input": asked, "stream": stream}
    async with peer.http.post(path, json=body) as answer:
        data = await answer.read()
    if not stream:
        validate(OPENAPI, schema_of(path, "post", 200), json.loads(data))
        return
    events = [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: ")]
    assert len(events) == 3
    for event in events:
        validate(OPENAPI, OPENAPI["components"]["schemas"]["SpeechChunk"], event)
