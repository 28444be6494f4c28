"""VoicePrompt: what the models are conditioned with to speak in a voice.

It is made of a reference clip (VoicePreparer), or read from the checkpoint's spk2info.pt: an entry there
has a speaker embedding, and may have a prompt (text, speech tokens, mel), as the reference writes it for
voices that were registered with a clip. An entry without a prompt speaks by its embedding alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ...interface import InvalidReference, TranscribedClip
from ..checkpoint import CheckpointError
from ..checkpoint.errors import printable
from ..config import FRAMES_PER_TOKEN, SAMPLE_RATE, ModelConfig
from ..text import TextProcessor
from . import (
    OnnxModelError,
    SpeakerEncoder,
    SpeechTokenizer,
    prompt_mel,
    resample,
    speaker_fbank,
    whisper_log_mel,
)
from .mel import MEL_TOP

LONGEST_SECONDS: Final = 30.0
"""The limit of the speech tokenizer."""
SHORTEST_SECONDS: Final = 0.5
LOWEST_RATE: Final = 8000
HIGHEST_RATE: Final = 192000
_SILENCE: Final = 1e-3
"""Peak, of full scale 1 (-60 dB), below which a clip counts as silent."""
_RATE_16K: Final = 16000
_FORMAT: Final = "1"


@dataclass(frozen=True, slots=True, eq=False)
class VoicePrompt:
    """A voice, on the CPU; shared read-only by all its sessions.

    text_ids: tokens of what the clip says. speech_tokens: [P], int32. mel: [2P, 80], float32.
    embedding: [192], float32, not normalised.
    """

    content_id: str
    text_ids: tuple[int, ...]
    speech_tokens: Tensor
    mel: Tensor
    embedding: Tensor

    @property
    def nbytes(self) -> int:
        tensors = (self.speech_tokens, self.mel, self.embedding)
        return sum(tensor.nbytes for tensor in tensors) + 8 * len(self.text_ids)

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        tensors = {
            "text_ids": torch.tensor(self.text_ids, dtype=torch.int32),
            "speech_tokens": self.speech_tokens.contiguous(),
            "mel": self.mel.contiguous(),
            "embedding": self.embedding.contiguous(),
        }
        about = {"format": _FORMAT, "content_id": self.content_id, "digest": _digest(tensors)}
        return safetensors.torch.save(tensors, about)

    @classmethod
    def load(cls, path: Path) -> VoicePrompt:
        """Read what `to_bytes` made. Raises OSError, or ValueError if it is not one or damaged."""
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                about = file.metadata() or {}
                if about.get("format") != _FORMAT:
                    raise ValueError(f"{path} is not a voice of format {_FORMAT}")
                # Copies: what the file gives is a view of it.
                found = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        except safetensors.SafetensorError as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        names = {"text_ids", "speech_tokens", "mel", "embedding"}
        if found.keys() != names or "content_id" not in about:
            raise ValueError(f"{path} is not a voice")
        if about.get("digest") != _digest(found):
            raise ValueError(f"{path} is damaged: its digest does not fit")
        tokens, mel, embedding = found["speech_tokens"], found["mel"], found["embedding"]
        fits = tokens.ndim == embedding.ndim == 1 and mel.ndim == 2
        if not fits or mel.shape[0] != FRAMES_PER_TOKEN * tokens.shape[0] or tokens.shape[0] == 0:
            raise ValueError(f"{path} has ill-shaped tensors")
        return cls(about["content_id"], tuple(found["text_ids"].tolist()), tokens, mel, embedding)


class VoicePreparer:
    """Makes voices. Holds no state: `prepare` may run in several threads at once.

    mel_top: Hz of the mel's highest filter.
    """

    def __init__(
        self,
        text: TextProcessor,
        tokenizer: SpeechTokenizer,
        speaker: SpeakerEncoder,
        mel_top: float = MEL_TOP,
    ) -> None:
        self._text = text
        self._tokenizer = tokenizer
        self._speaker = speaker
        self._mel_top = mel_top

    def prepare(self, reference: TranscribedClip) -> VoicePrompt:
        """Heavy (about a second of CPU for a long clip): not for the event loop.

        Raises InvalidReference if the clip cannot serve, OnnxModelError if a model fails.
        """
        wave = _checked(reference)
        with torch.inference_mode():
            narrow = resample(wave, reference.sample_rate, _RATE_16K)
            tokens = self._tokenizer(whisper_log_mel(narrow))
            high = resample(wave, reference.sample_rate, SAMPLE_RATE)
            mel = prompt_mel(high, self._mel_top)[0].T
            embedding = self._speaker(speaker_fbank(narrow))
        count = min(mel.shape[0] // FRAMES_PER_TOKEN, tokens.shape[0])
        if count == 0:
            raise OnnxModelError("the speech tokenizer gave no tokens")
        return VoicePrompt(
            content_id=reference.content_id,
            text_ids=self._text.prompt(reference.text),
            speech_tokens=tokens[:count].clone(),
            mel=mel[: FRAMES_PER_TOKEN * count].clone(memory_format=torch.contiguous_format),
            embedding=embedding,
        )


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()


def _checked(reference: TranscribedClip) -> Tensor:
    """The clip as [1, samples]. Raises InvalidReference."""
    samples, rate = reference.samples, reference.sample_rate
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise InvalidReference(
            f"the reference's sample rate must be {LOWEST_RATE} to {HIGHEST_RATE} Hz, not {rate}"
        )
    if samples.ndim != 1:
        raise InvalidReference("the reference must be mono")
    seconds = len(samples) / rate
    if seconds > LONGEST_SECONDS:
        raise InvalidReference(
            f"the reference lasts {seconds:.1f} s, at most {LONGEST_SECONDS:.0f} s are allowed"
        )
    if seconds < SHORTEST_SECONDS:
        raise InvalidReference(
            f"the reference lasts {seconds:.2f} s, at least {SHORTEST_SECONDS} s are needed"
        )
    # A copy: the caller's array may be read-only, and is not torch's to share.
    wave = torch.tensor(samples, dtype=torch.float32)[None]
    if not bool(wave.isfinite().all()):
        raise InvalidReference("the reference holds numbers that are no sound")
    if float(wave.abs().max()) < _SILENCE:
        raise InvalidReference("the reference is silent")
    return wave


_MOST: Final = 10_000


def load_builtin_prompts(path: Path, config: ModelConfig) -> dict[str, VoicePrompt]:
    """The prompts of spk2info.pt by name. Raises CheckpointError, which names the entry."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # torch's loader raises many kinds, for damaged and hostile files alike
        raise CheckpointError(f"{path.name}: cannot be read: {type(error).__name__}") from error
    if not isinstance(found, dict) or len(found) > _MOST:
        raise CheckpointError(f"{path.name}: not a table of speakers")
    return dict(_speakers(found, path.name, config))


def _speakers(
    found: Mapping[object, object], place: str, config: ModelConfig
) -> Iterator[tuple[str, VoicePrompt]]:
    for name, entry in found.items():
        if not (isinstance(name, str) and 0 < len(name) <= 128 and name.isprintable()):
            raise CheckpointError(f"{place}: a speaker without a usable name")
        if not isinstance(entry, dict):
            raise CheckpointError(f"{place}: {name}: not an entry")
        try:
            yield name, _voice(f"speaker:{name}", entry, config)
        except (RuntimeError, ValueError) as error:  # torch's own, for shapes that cannot be
            raise CheckpointError(f"{place}: {name}: {printable(error)}") from error


def _voice(content_id: str, entry: Mapping[str, object], config: ModelConfig) -> VoicePrompt:
    embedding = _first(entry, "flow_embedding", "llm_embedding", "embedding")
    if embedding is None:
        raise ValueError("no embedding")
    embedding = embedding.float().reshape(-1)
    if embedding.shape[0] != config.flow.speaker_size or not bool(embedding.isfinite().all()):
        raise ValueError(f"the embedding is not {config.flow.speaker_size} finite numbers")
    tokens = _first(entry, "flow_prompt_speech_token", "llm_prompt_speech_token", "speech_token")
    mel = _first(entry, "prompt_speech_feat", "speech_feat")
    text = _first(entry, "prompt_text", "text")
    if tokens is None or mel is None:
        tokens, mel, text = torch.zeros(0), torch.zeros(0, config.flow.mel_size), None
    tokens = _ids(tokens, config.flow.vocab_size, "speech token")
    mel = mel.float().reshape(-1, config.flow.mel_size)
    if not bool(mel.isfinite().all()):
        raise ValueError("the mel is not finite")
    count = min(tokens.shape[0], mel.shape[0] // FRAMES_PER_TOKEN)
    ids = () if text is None else tuple(_ids(text, config.lm.vocab_size, "text token").tolist())
    return VoicePrompt(content_id, ids, tokens[:count], mel[: FRAMES_PER_TOKEN * count], embedding)


def _first(entry: Mapping[str, object], *names: str) -> Tensor | None:
    for name in names:
        value = entry.get(name)
        if isinstance(value, Tensor):
            return value
    return None


def _ids(values: Tensor, size: int, kind: str) -> Tensor:
    ids = values.reshape(-1).to(torch.int32)
    if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < size:
        raise ValueError(f"a {kind} is not in the vocabulary")
    return ids
