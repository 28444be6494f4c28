"""Every word of a text is told once and with its place, through every dialect that tells words."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from support.peers.peers import Peer, message, run_task, text

TEXT = "“Well—no one can’t,” said my mother-in-law (e.g. today). 兄弟们长大了，他得走了！"
WORDS = [
    *("Well", "no", "one", "can’t", "said", "my", "mother-in-law", "e.g.", "today"),
    *"兄弟们长大了他得走了",
]
VOICE = "alba"


def check(words: list[dict[str, Any]], whole: str) -> None:
    assert [word["text"] for word in words] == WORDS
    assert all(whole[word["begin_index"] : word["end_index"]] == word["text"] for word in words)
    assert all(word["begin_time"] < word["end_time"] for word in words)
    assert all(one["end_time"] <= other["begin_time"] for one, other in pairwise(words))


@pytest.mark.parametrize("size", [1, 7, len(TEXT)])
async def test_over_the_websocket(peer: Peer, size: int) -> None:
    asked = {"reference_audio_id": VOICE, "word_timestamp_enabled": True}
    async with peer.socket() as socket:
        await socket.send(run_task("t", **asked))
        for at in range(0, len(TEXT), size):
            await socket.send(text("continue-task", "t", TEXT[at : at + size]))
        await socket.send(message("finish-task", "t"))
        got = await socket.until("task-finished")
    check([word for each in got for word in _output(each).get("words", [])], TEXT)


async def test_with_markup(peer: Peer) -> None:
    asked = {
        "reference_audio_id": VOICE,
        "word_timestamp_enabled": True,
        "enable_ssml": True,
    }
    marked = TEXT.replace("no one", '<prosody rate="0.9">no one</prosody>').replace(
        "said", "<mark name='m'/>said"
    )
    async with peer.socket() as socket:
        await socket.send(run_task("t", **asked))
        await socket.send(text("finish-task", "t", f"<speak>{marked}</speak>"))
        got = await socket.until("task-finished")
    words = [word for each in got for word in _output(each).get("words", [])]
    check(words, TEXT)
    [mark] = [mark for each in got for mark in _output(each).get("marks", [])]
    assert mark["time"] == words[4]["begin_time"]


async def test_over_dashscope(peer: Peer) -> None:
    parameters = {"voice": VOICE, "format": "pcm", "word_timestamp_enabled": True}
    task = {"task_group": "audio", "task": "tts", "function": "SpeechSynthesizer"}
    sentences = []
    async with peer.socket("/api-ws/v1/inference") as socket:
        await socket.send(
            message("run-task", "t", model="cosyvoice-v2", parameters=parameters, **task),
            text("finish-task", "t", TEXT),
        )
        event = ""
        while event != "task-finished":
            data = await socket.raw.recv()
            if isinstance(data, bytes):
                continue
            told = json.loads(data)
            event = told["header"]["event"]
            if _output(told).get("type") == "sentence-end":
                sentences.append(_output(told))
    begins = [TEXT.index(sentence["original_text"]) for sentence in sentences]
    words = [
        word | {"begin_index": begin + word["begin_index"], "end_index": begin + word["end_index"]}
        for begin, sentence in zip(begins, sentences, strict=True)
        for word in sentence["sentence"]["words"]
    ]
    assert len(sentences) == 2
    check(words, TEXT)


async def test_over_elevenlabs(peer: Peer) -> None:
    path = f"/v1/text-to-speech/{VOICE}/with-timestamps?output_format=pcm_24000"
    async with peer.http.post(path, json={"text": TEXT}) as answer:
        times = (await answer.json())["alignment"]
    assert "".join(times["characters"]) == TEXT
    begins = times["character_start_times_seconds"]
    ends = times["character_end_times_seconds"]
    assert begins == sorted(begins)
    at = 0
    for word in WORDS:
        at = TEXT.index(word, at)
        assert begins[at] < ends[at + len(word) - 1]
        at += len(word)


def _output(told: dict[str, Any]) -> dict[str, Any]:
    output = told["payload"].get("output", {})
    return output if isinstance(output, dict) else {}
