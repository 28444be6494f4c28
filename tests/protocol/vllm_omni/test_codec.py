"""What vLLM-Omni's clients send becomes commands, what the codec keeps is bounded."""

from __future__ import annotations

import orjson

from cosyserve.protocol.messages import ChunkMetrics, ResultGenerated, RunTask
from cosyserve.protocol.vllm_omni import VllmOmniCodec
from cosyserve.protocol.vllm_omni.codec import LONGEST_SHOWN


def test_text_that_comes_before_the_sound_is_kept_up_to_a_limit() -> None:
    """Also where each piece is refused, as one over the limits of an utterance that waits for its turn is."""
    codec = VllmOmniCodec()
    codec.decode(b'{"type": "session.config"}')
    said = orjson.dumps({"type": "input.text", "text": "word " * 1000})
    command = codec.decode(said)
    assert isinstance(command, RunTask)
    for _ in range(20):
        codec.decode(said)
    sound = ResultGenerated(command.task_id, "a", b"xy", ChunkMetrics(0.5, 0.0, 0.0))
    start, _ = codec.encode(sound)
    shown = orjson.loads(start.text)["sentence_text"]
    assert shown == ("word " * 21000)[:LONGEST_SHOWN]


def test_half_a_surrogate_pair_is_shown_whole_or_not_at_all() -> None:
    codec = VllmOmniCodec()
    codec.decode(b'{"type": "session.config"}')
    command = codec.decode(b'{"type": "input.text", "text": "a \\ud83d"}')
    assert isinstance(command, RunTask)
    codec.decode(b'{"type": "input.text", "text": "\\ude00 b \\ud83d"}')
    sound = ResultGenerated(command.task_id, "a", b"xy", ChunkMetrics(0.5, 0.0, 0.0))
    start, _ = codec.encode(sound)
    assert orjson.loads(start.text)["sentence_text"] == "a \U0001f600 b "
