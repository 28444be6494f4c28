from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from cosyserve.engine.cosyvoice.prompt import SpeakerEncoder, SpeechTokenizer, prompt_mel
from cosyserve.engine.cosyvoice.prompt.voice import VoicePreparer, VoicePrompt
from cosyserve.engine.cosyvoice.text import PlainNormalizer, TextProcessor, TextTokenizer
from cosyserve.engine.interface import InvalidReference, TranscribedClip
from support.engines import goldens
from support.engines.tiny_onnx import write_speaker_encoder, write_speech_tokenizer
from support.engines.tiny_tokenizer import write_tokenizer


@pytest.fixture(scope="module")
def preparer(tmp_path_factory: pytest.TempPathFactory) -> VoicePreparer:
    folder = tmp_path_factory.mktemp("models")
    write_tokenizer(folder / "text")
    write_speech_tokenizer(folder / "speech.onnx", tokens=200)
    write_speaker_encoder(folder / "speaker.onnx")
    return VoicePreparer(
        TextProcessor(TextTokenizer.load(folder / "text"), PlainNormalizer()),
        SpeechTokenizer(folder / "speech.onnx"),
        SpeakerEncoder(folder / "speaker.onnx"),
    )


def clip(seconds: float, rate: int = 24000, level: float = 0.3) -> TranscribedClip:
    samples = np.random.default_rng(0).uniform(-level, level, round(seconds * rate))
    return TranscribedClip("id", samples.astype(np.float32), rate, "hello the world.")


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100, 48000])
@pytest.mark.parametrize("seconds", [0.5, 1.01, 3.333])
def test_tokens_and_mel_have_one_length(preparer: VoicePreparer, rate: int, seconds: float) -> None:
    voice = preparer.prepare(clip(seconds, rate))
    count = voice.speech_tokens.shape[0]
    assert abs(count - 25 * seconds) <= 1
    assert voice.mel.shape == (2 * count, 80)
    assert voice.embedding.shape == (192,)
    assert len(voice.text_ids) == 4
    assert voice.nbytes >= voice.mel.nbytes


def test_the_mel_is_that_of_the_clip(preparer: VoicePreparer) -> None:
    wave = goldens.tensors("g_frontend")["zero_shot_wav24k"]
    voice = preparer.prepare(TranscribedClip("id", wave[0].numpy(), 24000, ""))
    frames = voice.mel.shape[0]
    assert voice.mel.equal(prompt_mel(wave)[0].T[:frames])
    assert voice.text_ids == ()


def test_calls_may_overlap(preparer: VoicePreparer) -> None:
    clips = [clip(0.5 + number / 10) for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(preparer.prepare, clips))
    for voice, reference in zip(found, clips, strict=True):
        assert voice.speech_tokens.equal(preparer.prepare(reference).speech_tokens)


def test_the_longest_clip_is_taken(preparer: VoicePreparer) -> None:
    assert preparer.prepare(clip(30.0, 8000)).speech_tokens.shape == (750,)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (clip(30.01, 8000), "at most 30 s"),
        (clip(0.49), r"at least 0\.5 s"),
        (clip(0.0), r"at least 0\.5 s"),
        (clip(1.0, level=5e-4), "silent"),
        (clip(1.0, level=0.0), "silent"),
        (clip(1.0, 7999), "8000 to 192000 Hz"),
        (clip(1.0, 192001), "8000 to 192000 Hz"),
        (TranscribedClip("id", np.full(24000, np.nan, np.float32), 24000, ""), "no sound"),
        (TranscribedClip("id", np.full(24000, np.inf, np.float32), 24000, ""), "no sound"),
        (TranscribedClip("id", np.ones((24000, 2), np.float32), 24000, ""), "mono"),
    ],
)
def test_clips_that_cannot_serve(
    preparer: VoicePreparer, reference: TranscribedClip, reason: str
) -> None:
    with pytest.raises(InvalidReference, match=reason):
        preparer.prepare(reference)


def test_a_voice_survives_its_file(preparer: VoicePreparer, tmp_path: Path) -> None:
    voice = preparer.prepare(clip(1.0))
    path = tmp_path / "voice"
    path.write_bytes(voice.to_bytes())
    found = VoicePrompt.load(path)
    assert (found.content_id, found.text_ids) == (voice.content_id, voice.text_ids)
    for name in ("speech_tokens", "mel", "embedding"):
        assert torch.equal(getattr(found, name), getattr(voice, name))


def test_damaged_files(preparer: VoicePreparer, tmp_path: Path) -> None:
    whole = preparer.prepare(clip(1.0)).to_bytes()
    flipped = whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:]
    path = tmp_path / "voice"
    for content in (b"", b"junk", whole[:-1], whole[: len(whole) // 2], flipped):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="voice"):
            VoicePrompt.load(path)
