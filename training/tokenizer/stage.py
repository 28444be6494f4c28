"""Stage `tokenizer`: trains it, exports it, and gives every recording its codes and their alignment."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cosyserve.engine.cosyvoice.config import SAMPLE_RATE
from cosyserve.engine.cosyvoice.prompt import SpeechTokenizer, resample, whisper_log_mel

from ..corpus import stage as data
from ..corpus.shards import TOKEN_SAMPLES, Batches, Corpus, Recording, padded
from ..recipe import CODES, Recipe
from ..schedule import Schedule, train
from ..weights import half_rounded, load_tensors, save_tensors
from ..work import WorkFolder
from .align import aligned, edit_distance, spoken
from .network import Reading, TokenizerNetwork, codes_of, points_of, quantised

STAGE: Final = "tokenizer"
FILE: Final = "speech_tokenizer_v2.onnx"
_READER: Final = "network.safetensors"
_CODES: Final = "codes.safetensors"
_PHONEMES: Final = "phonemes.json"
_LOUDER: Final = 0.25
"""Log-mels are moved by up to this much either way, in training: clips are not equally loud."""
_WEIGHTS: Final = {"ctc": 1.0, "mel": 0.5, "pitch": 1.0, "voiced": 0.3, "energy": 0.3}
_SAME: Final = (0.2, 0.5)
"""Shares of the training at which copies begin to have to agree, and fully have to. Before the codes tell
anything, they agree best where all of them are one code, and stay so."""
_PAUSES: Final = (4, 8, 14)
"""Lengths, in codes, of the pauses that join two recordings."""
_SILENCE: Final = 1e-4
"""Standard deviation of the noise that a pause consists of."""
_RATE_16K: Final = 16000


@dataclass(frozen=True, slots=True)
class PhonemeAlphabet:
    """The phonemes, each a label from 1 on."""

    phonemes: str

    def labels(self, phonemes: str) -> list[int]:
        """Those that are not known are left out."""
        return [place + 1 for place in map(self.phonemes.find, phonemes) if place >= 0]


def run(work: WorkFolder, recipe: Recipe) -> dict[str, Any]:
    """Raises StageMissing, FloatingPointError."""
    corpus, folder = Corpus(work.need(data.STAGE)), work.folder(STAGE)
    counts = Counter("".join(u.phonemes for u in corpus.training))
    alphabet = PhonemeAlphabet("".join(sorted(counts)))
    network = _network(recipe, alphabet, corpus)
    objectives = _Objectives(network, corpus, alphabet, recipe.tokenizer)
    train(folder, network, recipe.tokenizer, objectives.losses, work.log(STAGE))
    half_rounded(network)
    network.coder.write(folder / FILE)
    save_tensors(folder / _READER, network.state_dict())
    (folder / _PHONEMES).write_text(json.dumps(alphabet.phonemes), encoding="utf-8")
    tensors = dict(_encoded(network, corpus, alphabet))
    tensors |= {f"pause.{size}": _pause(folder / FILE, corpus, size) for size in _PAUSES}
    save_tensors(folder / _CODES, tensors)
    return _figures(SpokenCodes(work), PhonemeReader(work, recipe), corpus)


def _network(recipe: Recipe, alphabet: PhonemeAlphabet, corpus: Corpus) -> TokenizerNetwork:
    torch.manual_seed(recipe.tokenizer.seed)
    sizes = recipe.coder_width, recipe.coder_blocks
    return TokenizerNetwork(*sizes, len(alphabet.phonemes), len(corpus.voices))


class _Objectives:
    """What the codes must tell. A recording and a copy of it by another voice must have the same codes."""

    def __init__(
        self,
        network: TokenizerNetwork,
        corpus: Corpus,
        alphabet: PhonemeAlphabet,
        schedule: Schedule,
    ) -> None:
        self._network = network
        self._corpus = corpus
        self._alphabet = alphabet
        self._schedule = schedule
        self._rows = max(1, schedule.batch // 2)
        self._batches = Batches([u for u in corpus.training if u.original])
        self._voices = {voice: index for index, voice in enumerate(corpus.voices)}
        self._copies: dict[int, list[Recording]] = {}
        for recording in corpus.training:
            if not recording.original:
                self._copies.setdefault(recording.source, []).append(recording)

    def losses(self, step: int, choice: random.Random) -> dict[str, Tensor | float]:
        originals = self._batches.draw(self._rows, choice)
        pairs = [
            (i, self._copies[u.number]) for i, u in enumerate(originals) if u.number in self._copies
        ]
        rows = [*originals, *(choice.choice(copies) for _, copies in pairs)]
        log_mel, fine = padded([self._corpus.get(u, "log_mel") for u in rows])
        mask = fine[:, ::4]
        log_mel = log_mel + _LOUDER * (2 * torch.rand(len(rows), 1, 1) - 1)
        point = self._network.coder(log_mel, mask)
        code = quantised(point)
        voices = torch.tensor([self._voices[u.voice] for u in rows])
        found = self._parts(self._network.reader(code, mask, voices), rows, mask)
        loss = torch.stack([weight * found[name] for name, weight in _WEIGHTS.items()]).sum()
        if pairs:
            firsts = torch.tensor([i for i, _ in pairs])
            apart = (point[len(originals) :] - code[firsts].detach()).square().mean(-1)
            found["same"] = apart[mask[firsts]].mean()
            loss = loss + self._must_agree(step) * found["same"]
        used = len(set(codes_of(point.detach())[mask].tolist()))
        return {"loss": loss, "codes": float(used), **found}

    def _must_agree(self, step: int) -> float:
        begin, end = _SAME
        return min(1.0, max(0.0, (self._schedule.done(step) - begin) / (end - begin)))

    def _parts(
        self, reading: Reading, rows: Sequence[Recording], mask: Tensor
    ) -> dict[str, Tensor]:
        labels = [self._alphabet.labels(u.phonemes) for u in rows]
        ctc = F.ctc_loss(
            reading.phonemes.transpose(0, 1),
            torch.tensor([label for row in labels for label in row]),
            mask.sum(1),
            torch.tensor([len(row) for row in labels]),
            zero_infinity=True,
        )
        mel, frames = padded([self._corpus.get(u, "mel") for u in rows])
        f0, _ = padded([self._corpus.get(u, "f0") for u in rows])
        voiced = (f0 > 0) & frames
        pitch = _centred(f0.clamp(min=1).log(), voiced)
        energy = _centred(mel.mean(-1), frames)
        found, logit, loud = reading.prosody.unbind(-1)
        flags = F.binary_cross_entropy_with_logits(logit, voiced.float(), reduction="none")
        return {
            "ctc": ctc,
            "mel": (reading.mel - mel).abs().mean(-1)[frames].mean(),
            "pitch": (found - pitch).abs()[voiced].sum() / voiced.sum().clamp(min=1) * 5,
            "voiced": flags[frames].mean(),
            "energy": (loud - energy).abs()[frames].mean(),
        }


def _centred(values: Tensor, mask: Tensor) -> Tensor:
    """Less each row's mean over the mask."""
    weight = mask.float()
    mean = (values * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
    return values - mean


@torch.inference_mode()
def _encoded(
    network: TokenizerNetwork, corpus: Corpus, alphabet: PhonemeAlphabet
) -> Iterator[tuple[str, Tensor]]:
    """Codes of all recordings; phoneme and place in the text that each says, where they are known."""
    for recording in corpus.recordings:
        log_mel = corpus.get(recording, "log_mel")[None]
        mask = torch.ones(1, recording.tokens, dtype=torch.bool)
        codes = codes_of(network.coder(log_mel, mask))
        yield f"{recording.number}.codes", codes[0].to(torch.int16)
        log_probs = network.reader(points_of(codes), mask).phonemes[0].numpy()
        labels = alphabet.labels(recording.phonemes)
        places = aligned(log_probs, labels)
        if places is None:
            continue
        yield (
            f"{recording.number}.phonemes",
            torch.tensor(labels, dtype=torch.int16)[places.tolist()],
        )
        characters = _characters(recording, alphabet)
        if characters is not None:
            yield f"{recording.number}.characters", torch.tensor(characters)[places.tolist()]


def _characters(recording: Recording, alphabet: PhonemeAlphabet) -> list[float] | None:
    """Where in the text each phoneme is written; None if text and phonemes differ in their words."""
    spans, at = [], 0
    for word in recording.text.split():
        begin = recording.text.index(word, at)
        at = begin + len(word)
        if any(character.isalnum() for character in word):
            spans.append((begin, len(word)))
    if len(spans) != len(recording.words):
        return None
    places: list[float] = []
    for (begin, length), phonemes in zip(spans, recording.words, strict=True):
        known = alphabet.labels(phonemes)
        places += [begin + (i + 0.5) / len(known) * length for i in range(len(known))]
    return places


def _pause(path: Path, corpus: Corpus, size: int) -> Tensor:
    """The codes of near silence between two recordings.

    A log-mel has its floor below its loudest place, so a clip of silence alone would be something else.
    """
    before, after = (corpus.get(recording, "wave") for recording in corpus.recordings[:2])
    noise = torch.Generator().manual_seed(size)
    silence = _SILENCE * torch.randn(size * TOKEN_SAMPLES, generator=noise)
    wave = torch.cat([before, silence, after])[None]
    codes = SpeechTokenizer(path)(whisper_log_mel(resample(wave, SAMPLE_RATE, _RATE_16K)))
    first = len(before) // TOKEN_SAMPLES
    return codes[first : first + size].to(torch.int16)


class SpokenCodes:
    """What later stages read of this one: codes and alignments, by recording."""

    def __init__(self, work: WorkFolder) -> None:
        self._tensors = load_tensors(work.folder(STAGE) / _CODES)

    def codes(self, recording: Recording) -> Tensor:
        return self._tensors[f"{recording.number}.codes"].long()

    def phonemes(self, recording: Recording) -> Tensor | None:
        """The label that each code says, from 1 on."""
        found = self._tensors.get(f"{recording.number}.phonemes")
        return None if found is None else found.long()

    def characters(self, recording: Recording) -> Tensor | None:
        """The place in the text that each code says, in characters."""
        return self._tensors.get(f"{recording.number}.characters")

    def pause(self, choice: random.Random) -> Tensor:
        return self._tensors[f"pause.{choice.choice(_PAUSES)}"].long()


class PhonemeReader:
    """Reads phonemes from codes: the measure of the tokenizer and of the speech LM."""

    def __init__(self, work: WorkFolder, recipe: Recipe) -> None:
        folder = work.folder(STAGE)
        self.alphabet = PhonemeAlphabet(
            json.loads((folder / _PHONEMES).read_text(encoding="utf-8"))
        )
        weights = load_tensors(folder / _READER)
        voices = weights["reader.voices.weight"].shape[0]
        sizes = recipe.coder_width, recipe.coder_blocks
        self._network = TokenizerNetwork(*sizes, len(self.alphabet.phonemes), voices)
        self._network.load_state_dict(weights)

    @torch.inference_mode()
    def errors(self, codes: Tensor, phonemes: str) -> tuple[int, int]:
        """How many phonemes of a recording's codes [N] are wrong, and how many are due."""
        due = self.alphabet.labels(phonemes)
        if not len(codes):
            return len(due), len(due)
        mask = torch.ones(1, len(codes), dtype=torch.bool)
        found = self._network.reader(points_of(codes[None]), mask).phonemes[0].numpy()
        return edit_distance(spoken(found), due), len(due)


def _figures(codes: SpokenCodes, reader: PhonemeReader, corpus: Corpus) -> dict[str, Any]:
    """Phoneme error rate through the codes, their use, and how often copies agree."""
    wrong = due = same = compared = 0
    for recording in corpus.held_out:
        found = codes.codes(recording)
        if recording.original:
            errors, phonemes = reader.errors(found, recording.phonemes)
            wrong, due = wrong + errors, due + phonemes
        elif recording.source in corpus.by_number:
            original = codes.codes(corpus.by_number[recording.source])
            same, compared = same + int((original == found).sum()), compared + len(found)
    used = np.zeros(CODES)
    for recording in corpus.recordings:
        used += np.bincount(codes.codes(recording).numpy(), minlength=CODES)
    share = used[used > 0] / used.sum()
    read = [codes.characters(recording) is not None for recording in corpus.recordings]
    return {
        "phoneme_error_rate": wrong / max(1, due),
        "codes_used": len(share),
        "perplexity": math.exp(-float((share * np.log(share)).sum())),
        "same_codes_in_shifted_voices": same / max(1, compared),
        "aligned": sum(read) / max(1, len(read)),
    }
