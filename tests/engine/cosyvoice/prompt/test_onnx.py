from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from cosyserve.engine.cosyvoice.prompt import OnnxModelError, SpeakerEncoder, SpeechTokenizer
from support.engines.tiny_onnx import write_speaker_encoder, write_speech_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    write_speech_tokenizer(folder / "speech.onnx", tokens=100)
    write_speaker_encoder(folder / "speaker.onnx")
    return folder


@pytest.mark.parametrize(("frames", "tokens"), [(100, 25), (101, 26), (348, 87), (4, 1)])
def test_speech_tokens(folder: Path, frames: int, tokens: int) -> None:
    found = SpeechTokenizer(folder / "speech.onnx")(torch.randn(1, 128, frames))
    assert found.shape == (tokens,)
    assert found.dtype == torch.int32
    assert 0 <= int(found.min()) <= int(found.max()) < 100


def test_names_are_read_from_the_file(tmp_path: Path) -> None:
    write_speech_tokenizer(tmp_path / "speech.onnx", names=("a", "b", "c"))
    write_speaker_encoder(tmp_path / "speaker.onnx", names=("a", "b"), size=5)
    assert len(SpeechTokenizer(tmp_path / "speech.onnx")(torch.randn(1, 128, 40))) == 10
    assert SpeakerEncoder(tmp_path / "speaker.onnx", size=5)(torch.randn(9, 80)).shape == (5,)


def test_the_gpu_is_only_a_wish(folder: Path) -> None:
    mel = torch.randn(1, 128, 60)
    wished = SpeechTokenizer(folder / "speech.onnx", cuda=True)(mel)
    assert wished.equal(SpeechTokenizer(folder / "speech.onnx")(mel))


def test_calls_may_overlap(folder: Path) -> None:
    tokenizer = SpeechTokenizer(folder / "speech.onnx")
    mels = [torch.randn(1, 128, 50 + number) for number in range(16)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(tokenizer, mels))
    assert all(a.equal(tokenizer(mel)) for a, mel in zip(found, mels, strict=True))


@pytest.mark.parametrize("content", [b"", b"not a model" * 50, None])
def test_malformed_files(folder: Path, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.onnx"
    whole = (folder / "speaker.onnx").read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    for model in (SpeechTokenizer, SpeakerEncoder):
        with pytest.raises(OnnxModelError, match=r"broken\.onnx"):
            model(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(OnnxModelError, match="missing"):
        SpeechTokenizer(tmp_path / "none.onnx")


def test_files_that_were_swapped(folder: Path) -> None:
    with pytest.raises(OnnxModelError, match="not a speech tokenizer"):
        SpeechTokenizer(folder / "speaker.onnx")
    with pytest.raises(OnnxModelError, match="not a speaker encoder"):
        SpeakerEncoder(folder / "speech.onnx")


def test_failures_on_an_input(folder: Path) -> None:
    with pytest.raises(OnnxModelError, match="failed"):
        SpeechTokenizer(folder / "speech.onnx")(torch.randn(1, 127, 20))
    with pytest.raises(OnnxModelError, match="192, not 5"):
        SpeakerEncoder(folder / "speaker.onnx", size=5)(torch.randn(9, 80))
    with pytest.raises(OnnxModelError, match="finite"):
        SpeakerEncoder(folder / "speaker.onnx")(torch.full((9, 80), torch.nan))
