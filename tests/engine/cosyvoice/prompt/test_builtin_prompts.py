"""spk2info.pt: what registers a voice, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cosyserve.engine.cosyvoice.checkpoint import CheckpointError
from cosyserve.engine.cosyvoice.prompt.voice import load_builtin_prompts
from support.engines.tiny_checkpoint import TINY

EMBEDDING = torch.ones(1, 192)


def load(path: Path, content: Any) -> dict[str, Any]:
    torch.save(content, path / "spk2info.pt")
    return dict(load_builtin_prompts(path / "spk2info.pt", TINY))


def test_an_embedding_alone_is_a_voice(tmp_path: Path) -> None:
    voice = load(tmp_path, {"ana": {"embedding": EMBEDDING}})["ana"]
    assert voice.embedding.shape == (192,)
    assert voice.speech_tokens.shape == (0,)
    assert voice.mel.shape == (0, 80)
    assert voice.text_ids == ()


def test_a_registered_clip_is_cut_to_fit(tmp_path: Path) -> None:
    entry = {
        "prompt_text": torch.tensor([[1, 2, 3]]),
        "flow_prompt_speech_token": torch.arange(10)[None],
        "prompt_speech_feat": torch.zeros(1, 17, 80),
        "flow_embedding": EMBEDDING,
    }
    voice = load(tmp_path, {"bo": entry})["bo"]
    assert voice.text_ids == (1, 2, 3)
    assert voice.speech_tokens.tolist() == list(range(8))
    assert voice.mel.shape == (16, 80)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ([1], "table"),
        ({3: {}}, "name"),
        ({"a\nb": {}}, "name"),
        ({"ana": 3}, "ana"),
        ({"ana": {}}, "embedding"),
        ({"ana": {"embedding": torch.ones(5)}}, "192"),
        ({"ana": {"embedding": EMBEDDING * float("nan")}}, "finite"),
        (
            {
                "ana": {
                    "embedding": EMBEDDING,
                    "speech_token": torch.tensor([5000]),
                    "speech_feat": torch.zeros(2, 80),
                }
            },
            "speech token",
        ),
        (
            {
                "ana": {
                    "embedding": EMBEDDING,
                    "speech_token": torch.tensor([5]),
                    "speech_feat": torch.zeros(3, 7),
                }
            },
            "ana",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: Any, named: str) -> None:
    with pytest.raises(CheckpointError, match=named):
        load(tmp_path, content)


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "spk2info.pt"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match=r"spk2info\.pt"):
        load_builtin_prompts(path, TINY)
