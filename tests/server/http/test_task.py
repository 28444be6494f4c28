"""A request's task: its place among the running ones, and how its answer is written."""

from __future__ import annotations

import pytest

from cosyserve.server.http.answers import ChunkedAnswer
from support.peers.peers import Peer

STREAMS = [
    ("/v1/audio/speech", {"model": "tts-1", "input": "one two", "voice": "plain"}),
    ("/v1/text-to-speech/plain/stream", {"text": "one two"}),
    (
        "/api/v1/audio/speech",
        {
            "model": "cosyvoice-v2",
            "input": {
                "mode": "fast_replication",
                "reference_audio_id": "plain",
                "text": "one two",
            },
        },
    ),
]


@pytest.mark.parametrize(("path", "body"), STREAMS, ids=[path for path, _ in STREAMS])
async def test_the_place_is_free_before_the_end_of_the_answer_is_out(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, object]
) -> None:
    admission = peer.server.services.admission
    write, end = ChunkedAnswer.write, ChunkedAnswer.end
    while_written: list[int] = []
    at_the_end: list[int] = []

    async def counted_write(answer: ChunkedAnswer, data: bytes, seconds: float = 0.0) -> None:
        while_written.append(admission.tasks)
        await write(answer, data, seconds)

    async def counted_end(answer: ChunkedAnswer) -> None:
        at_the_end.append(admission.tasks)
        await end(answer)

    monkeypatch.setattr(ChunkedAnswer, "write", counted_write)
    monkeypatch.setattr(ChunkedAnswer, "end", counted_end)
    async with peer.http.post(path, json=body) as answer:
        assert answer.status == 200
        assert await answer.read()
    assert set(while_written) == {1}
    assert at_the_end == [0]
