"""The corpus on disk: recordings with their features, in shards that appear whole or not at all."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from cosyserve.engine.cosyvoice.config import SAMPLE_RATE, TOKEN_RATE
from cosyserve.engine.cosyvoice.prompt import prompt_mel, resample, speaker_fbank, whisper_log_mel
from cosyserve.engine.files import write_file

from ..weights import save_tensors
from .teachers import Wave

TOKEN_SAMPLES: Final = SAMPLE_RATE // TOKEN_RATE
_RATE_16K: Final = 16000

Kind = Literal["wave", "mel", "log_mel", "fbank", "f0"]
PitchMeter = Callable[[Wave], NDArray[np.float32]]
"""See `world.pitch`."""


@dataclass(frozen=True, slots=True)
class Recording:
    """number: its place in the corpus. words: phonemes of each word. voice: its name, one of Corpus.voices.

    source: the recording whose voice was shifted; its own number if it is an original.
    tokens: speech tokens that it takes. held_out: kept from the training.
    """

    number: int
    text: str
    words: tuple[str, ...]
    voice: str
    source: int
    tokens: int
    held_out: bool

    @property
    def original(self) -> bool:
        return self.source == self.number

    @property
    def phonemes(self) -> str:
        return "".join(self.words)


def features(wave: Wave, pitch: PitchMeter) -> dict[Kind, Tensor]:
    """By the product's own functions, of a wave whose length is a multiple of TOKEN_SAMPLES.

    wave [n] int16; mel [2N, 80], log_mel [4N, 128], fbank [about 4N, 80], f0 [2N] in half precision.
    """
    sound = torch.from_numpy(wave)[None]
    narrow = resample(sound, SAMPLE_RATE, _RATE_16K)
    return {
        "wave": (sound[0] * 32767).round().clamp(-32768, 32767).to(torch.int16),
        "mel": prompt_mel(sound)[0].T.half(),
        "log_mel": whisper_log_mel(narrow)[0].T.half(),
        "fbank": speaker_fbank(narrow).half(),
        "f0": torch.from_numpy(pitch(wave)).half(),
    }


def write_shard(
    folder: Path, index: int, made: Sequence[tuple[Recording, Wave]], pitch: PitchMeter
) -> None:
    """Write the tensors, then the list of the recordings, which says that the shard is there."""
    tensors = {
        f"{recording.number}.{kind}": tensor
        for recording, wave in made
        for kind, tensor in features(wave, pitch).items()
    }
    save_tensors(folder / f"{index:05}.safetensors", tensors)
    entries = [asdict(recording) for recording, _ in made]
    write_file(_listing(folder, index), json.dumps(entries, ensure_ascii=False).encode())


def has_shard(folder: Path, index: int) -> bool:
    return _listing(folder, index).is_file()


def _listing(folder: Path, index: int) -> Path:
    return folder / f"{index:05}.json"


class Corpus:
    """All recordings of a folder of shards, in order, and their features as they are asked for.

    by_voice: those that are trained on.
    """

    def __init__(self, folder: Path) -> None:
        self.recordings: list[Recording] = []
        self._files: dict[int, Any] = {}
        for listing in sorted(folder.glob("[0-9]*.json")):
            file = safe_open(listing.with_suffix(".safetensors"), framework="pt")
            for entry in json.loads(listing.read_text(encoding="utf-8")):
                recording = Recording(**{**entry, "words": tuple(entry["words"])})
                self.recordings.append(recording)
                self._files[recording.number] = file
        self.by_number = {recording.number: recording for recording in self.recordings}
        self.voices = sorted({recording.voice for recording in self.recordings})
        self.training = [u for u in self.recordings if not u.held_out]
        self.held_out = [u for u in self.recordings if u.held_out]
        self.by_voice: dict[str, list[Recording]] = {}
        for recording in self.training:
            self.by_voice.setdefault(recording.voice, []).append(recording)

    def get(self, recording: Recording, kind: Kind) -> Tensor:
        """A feature in float32; `wave` in full scale 1."""
        tensor: Tensor = self._files[recording.number].get_tensor(f"{recording.number}.{kind}")
        return tensor.float() / 32767 if kind == "wave" else tensor.float()

    def wave(self, recording: Recording) -> NDArray[np.float32]:
        made: NDArray[np.float32] = self.get(recording, "wave").numpy()
        return made


class Batches:
    """Draws recordings of about the same length, so that little of a batch is padding."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._sorted = sorted(
            recordings, key=lambda recording: (recording.tokens, recording.number)
        )

    def draw(self, count: int, choice: random.Random) -> list[Recording]:
        """`count` different ones, from a stretch of the list that is twice as long."""
        stretch = min(len(self._sorted), 2 * count)
        first = choice.randint(0, len(self._sorted) - stretch)
        return choice.sample(self._sorted[first : first + stretch], min(count, stretch))


def padded(rows: Sequence[Tensor], value: float = 0.0) -> tuple[Tensor, Tensor]:
    """Rows [n, ...] of different lengths -> [B, longest, ...] and which places are real, [B, longest]."""
    lengths = torch.tensor([row.shape[0] for row in rows])
    whole = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value)
    return whole, torch.arange(whole.shape[1]) < lengths[:, None]


def whole_tokens(wave: Wave) -> Wave:
    """Cut to a whole number of speech tokens' time."""
    return wave[: len(wave) // TOKEN_SAMPLES * TOKEN_SAMPLES]
