"""From a checkpoint's speech LM to the directory that vLLM loads: safetensors and a config.json.

All ids that the LM reads have one embedding, in the order of ids.IdSpace: speech, special ids with an
embedding of their own, text.

Attention heads smaller than any kernel takes are padded with zeros, and the model computes the same. Only
small test models have such heads; the published one's, of 64, stay as they are. vLLM takes a head's size
to be hidden size / heads, so the hidden state is padded along with them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save_file
from torch import Tensor

from ....files import TEMPORARY, new_folder
from ...checkpoint import Checkpoint, CheckpointError, fingerprint
from ...config import LmConfig
from ...lm.qwen2 import TEXT_EMBEDDING, TIED_HEAD
from ..ids import IdSpace
from .plugin import ARCHITECTURE

_SMALLEST_HEAD: Final = 32
_PADDED_HEAD: Final = 64


@dataclass(frozen=True, slots=True)
class Padding:
    """heads of size `head` (d) become heads of `size` (D) elements; equal if nothing is to be done.

    Rotary positions turn element i and i + d/2 by the angle position * base^(-2i/d). The pair's place
    among the padded elements is where the angle is the same: i * D/d and that + D/2. Scores are divided
    by the root of D in place of d, so queries grow by the root of D/d. RMSNorm's mean is over D/d
    times as many elements, all new ones zero: its gain shrinks by the root of D/d, its epsilon by D/d.
    """

    heads: int
    head: int
    size: int

    @classmethod
    def of(cls, config: LmConfig) -> Padding:
        """Raises CheckpointError for a head that does not fit."""
        size = config.head_dim
        if size >= _SMALLEST_HEAD:
            return cls(config.num_attention_heads, size, size)
        if _PADDED_HEAD % size or size % 2:
            raise CheckpointError(f"attention heads of {size} elements cannot run in vLLM")
        return cls(config.num_attention_heads, size, _PADDED_HEAD)

    @property
    def hidden_size(self) -> int:
        return self.heads * self.size

    @property
    def share(self) -> float:
        """The share of the padded elements that is the model's own."""
        return self.head / self.size

    def padded(self, name: str, tensor: Tensor) -> Tensor:
        """The tensor of this name (vLLM's) in its padded form."""
        if self.size == self.head:
            return tensor
        kind = name.rsplit(".", 2)[-2]
        grown = math.sqrt(self.size / self.head)
        if kind == "q_proj":
            tensor = tensor * grown
        if kind.endswith("norm"):
            tensor = tensor / grown
        if kind in ("q_proj", "k_proj", "v_proj"):
            tensor = self._spread(tensor, 0)
        elif kind == "o_proj":
            tensor = self._spread(tensor, 1)
        if kind in ("o_proj", "down_proj") or kind.endswith("norm"):
            tensor = self._extended(tensor, 0)
        if tensor.dim() == 2 and kind not in ("o_proj", "down_proj"):
            tensor = self._extended(tensor, 1)
        return tensor

    def _spread(self, tensor: Tensor, dim: int) -> Tensor:
        """Each head's elements to their places: the first of every D/d."""
        shape = list(tensor.shape)
        elements = tensor.unsqueeze(dim + 1)  # the order within a head is the same, only wider
        zeros = elements.new_zeros(
            [*shape[: dim + 1], self.size // self.head - 1, *shape[dim + 1 :]]
        )
        return torch.cat((elements, zeros), dim + 1).flatten(dim, dim + 1)

    def _extended(self, tensor: Tensor, dim: int) -> Tensor:
        """Zeros after the hidden state's elements."""
        shape = list(tensor.shape)
        shape[dim] = self.hidden_size - shape[dim]
        return torch.cat((tensor, tensor.new_zeros(shape)), dim)


_FORMAT: Final = 1
"""The directory's format; part of its name, so that an older one is not taken for a newer."""
_WEIGHTS: Final = "model.safetensors"
_CONFIG: Final = "config.json"
_BACKBONE: Final = "llm.model.model."


def converted(checkpoint: Checkpoint, cache: Path) -> Path:
    """The directory in `cache` that holds this checkpoint's speech LM; written if it is not there.

    Its name is made of the content, so one that is there is right. It appears whole or not at all, and
    of several processes one writes it while the others wait. Blocking: seconds, for the full size.
    Raises CheckpointError.
    """
    config = checkpoint.config.lm
    padding = Padding.of(config)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        target = cache / f"speech-lm-{_content(checkpoint)}"
        with _alone(cache / f".{target.name}.lock"):
            if not target.exists():
                _sweep(target)
                _write(config, checkpoint.weights["llm"], padding, target)
    except OSError as error:
        raise CheckpointError(f"vllm_folder {cache}: {error.strerror or error}") from error
    return target


def vllm_config(config: LmConfig, padding: Padding, dtype: torch.dtype) -> dict[str, object]:
    """The content of config.json: Qwen2's, as far as vLLM's own parts read it."""
    ids = IdSpace.of(config)
    return {
        "architectures": [ARCHITECTURE],
        "model_type": "qwen2",
        "vocab_size": ids.head_size,
        "embed_vocab_size": ids.size,
        "head_bias": config.head_bias,
        "hidden_size": padding.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "max_position_embeddings": config.max_position_embeddings,
        "rope_theta": config.rope_theta,
        "rms_norm_eps": config.rms_norm_eps * padding.share,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "use_sliding_window": False,
        "bos_token_id": None,
        "eos_token_id": None,
        "torch_dtype": str(dtype).removeprefix("torch."),
    }


def vllm_weights(
    config: LmConfig, weights: Mapping[str, Tensor], padding: Padding
) -> dict[str, Tensor]:
    """The official tensors under vLLM's names, each with memory of its own."""
    apart = ("llm_embedding.weight",) if config.specials.apart else ()
    embeddings = [weights[key] for key in ("speech_embedding.weight", *apart, TEXT_EMBEDDING)]
    named = {
        "model.embed_tokens.weight": torch.cat(embeddings),
        "lm_head.weight": weights["llm_decoder.weight"],
    }
    if config.head_bias:
        named["lm_head.bias"] = weights["llm_decoder.bias"]
    for key, tensor in weights.items():
        if key.startswith(_BACKBONE) and key not in (TEXT_EMBEDDING, TIED_HEAD):
            named["model." + key.removeprefix(_BACKBONE)] = tensor
    return {key: padding.padded(key, tensor).contiguous() for key, tensor in named.items()}


def _content(checkpoint: Checkpoint) -> str:
    """A name for the LM's part of the checkpoint."""
    digest = hashlib.sha256()
    digest.update(json.dumps([_FORMAT, asdict(checkpoint.config.lm)]).encode())
    if checkpoint.files is not None:
        digest.update(fingerprint([checkpoint.files.weights["llm"]]).encode())
    else:
        for key, tensor in sorted(checkpoint.weights["llm"].items()):
            digest.update(f"{key}\0{tensor.dtype}\0".encode())
            digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time; the lock of one that dies is given up."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sweep(target: Path) -> None:
    """Remove what processes that died while writing have left. Only with the lock."""
    for partial in target.parent.glob(f".{target.name}.*{TEMPORARY}"):
        shutil.rmtree(partial, ignore_errors=True)


def _write(config: LmConfig, weights: Mapping[str, Tensor], padding: Padding, target: Path) -> None:
    dtype = weights["speech_embedding.weight"].dtype
    with new_folder(target) as folder:
        save_file(vllm_weights(config, weights, padding), folder / _WEIGHTS, {"format": "pt"})
        text = json.dumps(vllm_config(config, padding, dtype), indent=1)
        (folder / _CONFIG).write_text(text + "\n")
