"""The time to the first sound, and how many streams one device speaks in real time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.config import SAMPLE_RATE
from cosyserve.engine.cosyvoice.flow import FlowPrompt, FlowState, TokenFlow
from cosyserve.engine.cosyvoice.lm import SamplingOptions
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder
from cosyserve.engine.cosyvoice.lm.sampling import Draw
from cosyserve.engine.cosyvoice.lm.step import Stepper, StepRow
from cosyserve.engine.cosyvoice.vocoder import StreamingVocoder, VocoderSession

from .models import HOP, RandomVoice, timed

TEXT_IDS: Final = 30
"""Ids of the text to speak, with that of the voice's prompt."""


class Talker:
    """Streams of the speech LM that decode greedily and never stop, one token each per step."""

    def __init__(self, decoder: LmDecoder, voice: RandomVoice, streams: int) -> None:
        ids = decoder.ids
        prompt: list[int] = voice.prompt_token[0].tolist()
        context = [ids.sos, *ids.text(range(TEXT_IDS)), ids.task, *ids.speech(prompt)]
        self._stepper = Stepper(decoder)
        self._contexts = [list(context) for _ in range(streams)]
        self._read = [0] * streams
        stops = (ids.eos, ids.unused, ids.fill)
        self._draw = Draw(stops, (), 0.0, SamplingOptions(greedy=True))

    def speak(self, tokens: int) -> None:
        """So many more tokens of each stream; the first time, the context is read before."""
        for _ in range(tokens):
            rows = [
                StepRow(slot, context, read, len(context), self._draw)
                for slot, (context, read) in enumerate(zip(self._contexts, self._read, strict=True))
            ]
            drawn = self._stepper.step(rows).tokens
            self._read = [row.end for row in rows]
            for context, token in zip(self._contexts, drawn, strict=True):
                if token is None:
                    raise RuntimeError("the speech model's numbers are not finite")
                context.append(token)


@dataclass(frozen=True, slots=True)
class FirstChunk:
    """Seconds until a first hop of so many tokens has become so many seconds of sound; medians."""

    hop: int
    lm: float
    flow: float
    vocoder: float
    sound: float

    @property
    def total(self) -> float:
        return self.lm + self.flow + self.vocoder


@dataclass(frozen=True, slots=True)
class LiveModels:
    flow: TokenFlow[Any]
    hift: StreamingVocoder
    decoder: LmDecoder

    @property
    def device(self) -> torch.device:
        return self.flow.noise.device


def first_chunk(models: LiveModels, voice: RandomVoice, hop: int, repeats: int) -> FirstChunk:
    """One stream whose voice is prepared: its text is read, hop + look-ahead tokens are decoded, and
    given on at once. Some runs before the counted ones warm up; graphs are recorded in the third."""
    prompt = models.flow.prepare_prompt(*voice.prompt)
    warm = 3 if models.flow.graphs is not None else 1
    runs = [_first_chunk(models, voice, prompt, hop) for _ in range(warm + repeats)]
    return FirstChunk(hop, *(median(column) for column in zip(*runs[warm:], strict=True)))


def _first_chunk(
    models: LiveModels, voice: RandomVoice, prompt: FlowPrompt, hop: int
) -> tuple[float, ...]:
    tokens = hop + models.flow.config.look_ahead
    talker = Talker(models.decoder, voice, 1)
    state, vocoder = models.flow.start(prompt), models.hift.start(seed=3)
    new = voice.token[0, :tokens]
    _, lm = timed(models.device, lambda: talker.speak(tokens))
    (mel,), mels = timed(
        models.device, lambda: models.flow.step([state], [new], [False], early=[True])
    )
    (wave,), waves = timed(models.device, lambda: models.hift.step([vocoder], [mel], [False]))
    return lm.wall, mels.wall, waves.wall, wave.shape[0] / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Level:
    """Seconds for one more second of speech of each of the streams, in one batch.

    nbytes: of their own contexts in the flow, the voice's shared part not counted.
    """

    streams: int
    lm: float
    flow: float
    vocoder: float
    nbytes: int

    @property
    def total(self) -> float:
        return self.lm + self.flow + self.vocoder

    @property
    def real_time(self) -> bool:
        return self.total <= 1.0


def levels(
    models: LiveModels, voice: RandomVoice, streams: Sequence[int], position: int
) -> Iterator[Level]:
    """One after the other, until one is not in real time or does not fit in memory.

    Each stream is `position` seconds into its utterance and has a context of its own there.
    """
    flow, hift, start = models.flow, models.hift, position * HOP + models.flow.config.look_ahead
    state = flow.start(flow.prepare_prompt(*voice.prompt))
    (mel,) = flow.step([state], [voice.token[0, :start]], [False])
    vocoder = hift.start(seed=3)
    hift.step([vocoder], [mel], [False])
    new = voice.token[0, start : start + HOP]
    for count in streams:
        try:
            level = _level(models, voice, (state, vocoder), new, count)
        except torch.OutOfMemoryError:
            return
        yield level
        if not level.real_time:
            return


def _level(
    models: LiveModels,
    voice: RandomVoice,
    stream: tuple[FlowState, VocoderSession],
    new: Tensor,
    count: int,
) -> Level:
    flow, hift, device = models.flow, models.hift, models.device
    talker = Talker(models.decoder, voice, count)
    talker.speak(2)
    states = [_independent(stream[0]) for _ in range(count)]
    nbytes = sum(state.nbytes for state in states)
    tokens, final = [new] * count, [False] * count
    flow.step([state.copy() for state in states], tokens, final)
    mels, in_flow = timed(device, lambda: flow.step(states, tokens, final))
    hift.step([stream[1].copy() for _ in states], mels, final)
    vocoders = [stream[1].copy() for _ in states]
    _, in_vocoder = timed(device, lambda: hift.step(vocoders, mels, final))
    _, in_lm = timed(device, lambda: talker.speak(HOP))
    return Level(count, in_lm.wall, in_flow.wall, in_vocoder.wall, nbytes)


def _independent(state: FlowState) -> FlowState:
    """A copy that reads memory of its own, as another utterance would."""
    copied = state.copy()
    for cache in copied.memory.caches:
        cache.pages = [page.copy() for page in cache.pages]
    return copied
