"""The names of models that a server answers to, in every dialect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from support.engines.fake_engine import FakeEngine
from support.peers.last_word import WHOLE, counted, say
from support.peers.peers import Peer
from support.peers.ways import HTTP, SOCKETS, Way

from ..conftest import Served

TWO = ("cosyvoice-v2", "CosyVoice2-0.5B")
THREE = ("cosyvoice-v3", "Fun-CosyVoice3-0.5B-2512")
NAMES_TWO = {"websocket", "dashscope", "rest"}
"""Transports whose ways ask for CosyVoice 2; the others ask for a hosted model, or for none."""


@asynccontextmanager
async def loaded(served: Served, models: tuple[str, ...], **settings: Any) -> AsyncIterator[Peer]:
    engine = FakeEngine()
    engine.capabilities = replace(engine.capabilities, models=models)
    async with served(engine, **settings) as (server, _), Peer.of(server, engine) as peer:
        yield peer


@pytest.mark.parametrize("way", [*SOCKETS, *HTTP], ids=str)
async def test_a_model_that_is_not_loaded_is_not_found(served: Served, way: Way) -> None:
    async with loaded(served, THREE) as peer, way.open(peer) as conversation:
        heard = await say(conversation)
        if way.transport not in NAMES_TWO:
            assert len(heard.sound) == WHOLE
            return
        assert not heard.sound
        assert "is not loaded; allowed: cosyvoice-v3, Fun-CosyVoice3-0.5B-2512" in heard.told
        assert not peer.engine.sessions
        await peer.server.services.admission.wait_idle()
        assert counted(peer) == {(way.transport, "failed", "ModelNotFound"): 1}


@pytest.mark.parametrize("way", [*SOCKETS, *HTTP], ids=str)
async def test_the_loaded_model_speaks(served: Served, way: Way) -> None:
    async with loaded(served, TWO) as peer, way.open(peer) as conversation:
        assert len((await say(conversation)).sound) == WHOLE


@pytest.mark.parametrize("way", [SOCKETS[0], HTTP[0]], ids=str)
async def test_it_may_answer_to_all_names(served: Served, way: Way) -> None:
    async with loaded(served, THREE, any_model=True) as peer, way.open(peer) as conversation:
        assert len((await say(conversation)).sound) == WHOLE


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("cosyvoice-v3", True),
        ("cosyvoice-v3-flash", True),
        ("cosyvoice-v3.5-plus", True),
        ("cosyvoice-v1", False),
        ("cosyvoice-v2", False),
    ],
)
async def test_hosted_names_are_of_their_generation(
    served: Served, model: str, known: bool
) -> None:
    body = {"model": model, "input": {"text": "one", "voice": "plain", "format": "pcm"}}
    path = "/api/v1/services/audio/tts/SpeechSynthesizer"
    async with loaded(served, THREE) as peer, peer.http.post(path, json=body) as answer:
        assert answer.status == (200 if known else 404)


async def test_openai_lists_what_it_answers_to(served: Served) -> None:
    async with loaded(served, THREE) as peer:
        async with peer.http.get("/v1/models") as answer:
            names = {model["id"] for model in (await answer.json())["data"]}
        assert names >= {"tts-1", *THREE}
        assert not names & {*TWO}
        for name, status in (("cosyvoice-v3", 200), ("tts-1", 200), ("cosyvoice-v2", 404)):
            async with peer.http.get(f"/v1/models/{name}") as answer:
                assert answer.status == status
