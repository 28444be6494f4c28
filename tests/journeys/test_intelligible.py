"""The speech says what was asked for, through every way in and several ways out."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from support.listening.audio import Floats, decode
from support.listening.speech import rank_by_dtw, recognise, resample
from support.peers.peers import Peer, audio, message, run_task, text

ENGLISH = (
    "the old man walked slowly to the river",
    "she bought three apples and a loaf of bread",
    "we will leave for the mountains early tomorrow",
)
MANDARIN = ("今天天气很好，我们去公园走走。", "请把这本书还给图书馆。", "他每天早上六点起床跑步。")


async def speak(peer: Peer, pieces: list[str], rate: int = 24000, **parameters: object) -> Floats:
    """Over the WebSocket; the decoded sound."""
    parameters = {
        "reference_audio_id": "bruno",
        "output_format": "wav",
        "sample_rate": rate,
        **parameters,
    }
    async with peer.socket() as socket:
        await socket.send(run_task("t", **parameters))
        for piece in pieces:
            await socket.send(text("continue-task", "t", piece))
        await socket.send(message("finish-task", "t"))
        got = await socket.until("task-finished")
    samples, decoded_rate = decode(audio(got), str(parameters["output_format"]), rate)
    assert decoded_rate == (48000 if parameters["output_format"] == "opus" else rate)
    return samples


def words(sentence: str) -> list[str]:
    return [f"{word} " for word in sentence.split(" ")]


@pytest.mark.parametrize("sentence", ENGLISH)
@pytest.mark.parametrize("output", [{}, {"output_format": "mp3", "bit_rate": "32k"}])
@pytest.mark.parametrize("speed", [0.75, 1.0, 1.5])
async def test_english_is_understood(
    peer: Peer, sentence: str, output: dict[str, object], speed: float
) -> None:
    said = f"{sentence.capitalize()}."
    for pieces in ([said], words(said)):
        samples = await speak(peer, pieces, speed=speed, **output)
        assert recognise(samples, 24000, ENGLISH) == sentence


@pytest.mark.parametrize("output_format", ["opus", "aac", "flac"])
async def test_the_other_formats_are_understood(peer: Peer, output_format: str) -> None:
    samples = await speak(peer, [ENGLISH[0]], output_format=output_format)
    rate = 48000 if output_format == "opus" else 24000
    assert recognise(samples, rate, ENGLISH) == ENGLISH[0]


async def test_rest_is_understood(peer: Peer) -> None:
    asked = {
        "mode": "fast_replication",
        "reference_audio_id": "bruno",
        "text": ENGLISH[1],
        "output_format": "mp3",
        "sample_rate": 16000,
    }
    body = {"model": "CosyVoice2-0.5B", "input": asked, "stream": False}
    async with peer.http.post("/api/v1/audio/speech", json=body) as answer:
        data = base64.b64decode((await answer.json())["output"]["audio"]["data"])
    samples, rate = decode(data, "mp3", 16000)
    assert recognise(samples, rate, ENGLISH) == ENGLISH[1]


@pytest.mark.parametrize("right", range(len(MANDARIN)))
@pytest.mark.parametrize("speed", [0.75, 1.0, 1.5])
async def test_mandarin_is_nearest_to_its_own_sentence(
    peer: Peer, right: int, speed: float
) -> None:
    candidates = [await speak(peer, [sentence], 16000) for sentence in MANDARIN]
    heard = await speak(peer, list(MANDARIN[right]), 16000, output_format="mp3", speed=speed)
    assert rank_by_dtw(heard, candidates, 16000) == right


async def test_a_long_text_in_single_letters_is_the_same_speech(peer: Peer) -> None:
    story = " ".join(f"{sentence.capitalize()}." for sentence in ENGLISH * 2)
    whole = await speak(peer, [story])
    letters = await speak(peer, list(story))
    assert len(letters) == pytest.approx(len(whole), rel=0.01)


async def test_a_cloned_reference_is_understood_and_near_in_pitch(peer: Peer) -> None:
    from support.listening.audio import make_file, median_pitch

    for voice in ("alba", "bruno"):
        clip = await speak(peer, [ENGLISH[0]], reference_audio_id=voice)
        made = await peer.upload(make_file(clip, 24000, "wav", "pcm_s16le"), ENGLISH[0])
        cloned = await speak(peer, [ENGLISH[2]], reference_audio_id=made)
        assert recognise(cloned, 24000, ENGLISH) == ENGLISH[2]
        assert median_pitch(cloned, 24000) == pytest.approx(median_pitch(clip, 24000), rel=0.15)


async def test_volume_and_speed_do_what_they_say(peer: Peer) -> None:
    plain = await speak(peer, [ENGLISH[0]])
    quiet = await speak(peer, [ENGLISH[0]], volume=0.5)
    loud = await speak(peer, [ENGLISH[0]], volume=10)
    slow = await speak(peer, [ENGLISH[0]], speed=0.5)
    assert np.std(quiet) / np.std(plain) == pytest.approx(0.5, abs=0.05)
    assert np.std(loud) > 1.2 * np.std(plain)
    assert np.abs(loud).max() <= 1
    assert len(slow) / len(plain) == pytest.approx(2, rel=0.15)


async def test_recognition_would_notice_another_sentence(peer: Peer) -> None:
    """The instrument of these tests: other speech is not taken for one of the sentences."""
    other = await speak(peer, ["Nothing of this was ever on the list that you have."])
    assert recognise(other, 24000, ENGLISH) == ""
    assert resample(np.ones(480), 48000, 16000).shape == (160,)
