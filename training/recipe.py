"""All sizes of a training: of the data, of the networks, and how long each is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from cosyserve.engine.cosyvoice.config import (
    CosyVoice2Config,
    EncoderConfig,
    EstimatorConfig,
    FlowConfig,
    HiftConfig,
    LmConfig,
)

from .schedule import Schedule

LEVELS: Final = 3
DIMENSIONS: Final = 6
CODES: Final = LEVELS**DIMENSIONS
"""Speech tokens: 6 numbers of 3 levels each."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """sentences: texts that are spoken, each by one teacher. held_out: the first of them, never trained on.
    copies: voice-shifted copies of each recording, on average.
    text_vocabulary: byte pairs of the text tokenizer.
    coder_width, coder_blocks: of the speech tokenizer. speaker_width: of the speaker encoder.
    spoken: sentences that the LM's stage and the evaluation speak.
    """

    sentences: int
    held_out: int
    copies: float
    text_vocabulary: int
    coder_width: int
    coder_blocks: int
    speaker_width: int
    spoken: int
    model: CosyVoice2Config
    tokenizer: Schedule
    speaker: Schedule
    lm: Schedule
    flow: Schedule
    vocoder: Schedule


def _model(lm: LmConfig, flow: FlowConfig, hift: HiftConfig) -> CosyVoice2Config:
    return CosyVoice2Config(
        lm=replace(lm, speech_token_size=CODES), flow=replace(flow, vocab_size=CODES), hift=hift
    )


FULL: Final = Recipe(
    sentences=15000,
    held_out=100,
    copies=0.7,
    text_vocabulary=1200,
    coder_width=192,
    coder_blocks=5,
    speaker_width=256,
    spoken=20,
    model=_model(
        LmConfig(
            vocab_size=1280,
            hidden_size=256,
            intermediate_size=768,
            num_hidden_layers=6,
            num_attention_heads=4,
            num_key_value_heads=2,
            rope_theta=10000.0,
            max_position_embeddings=4096,
        ),
        FlowConfig(
            encoder=EncoderConfig(
                size=192, attention_heads=4, linear_units=768, num_blocks=3, num_up_blocks=2
            ),
            estimator=EstimatorConfig(channels=128, num_heads=2, n_blocks=2, num_mid_blocks=4),
        ),
        HiftConfig(base_channels=128, f0_channels=128),
    ),
    tokenizer=Schedule(steps=6000, batch=24, rate=1e-3, warm_up=200, log_every=50),
    speaker=Schedule(steps=1500, batch=48, rate=1e-3, warm_up=100),
    lm=Schedule(steps=20000, batch=20, rate=1e-3, warm_up=400, log_every=50, save_every=500),
    flow=Schedule(steps=14000, batch=8, rate=6e-4, warm_up=300, log_every=50, save_every=400),
    vocoder=Schedule(steps=10000, batch=12, rate=8e-4, warm_up=200, log_every=50, save_every=400),
)
"""For two cores and a night."""

SMALL: Final = replace(
    FULL,
    sentences=400,
    held_out=20,
    text_vocabulary=700,
    spoken=3,
    tokenizer=Schedule(steps=60, batch=8, rate=1e-3, log_every=10, save_every=20),
    speaker=Schedule(steps=40, batch=16, rate=1e-3, log_every=10, save_every=20),
    lm=Schedule(steps=40, batch=8, rate=1e-3, log_every=10, save_every=20),
    flow=Schedule(steps=30, batch=4, rate=6e-4, log_every=10, save_every=10),
    vocoder=Schedule(steps=30, batch=4, rate=8e-4, log_every=10, save_every=10),
)
"""The same networks for a few steps: shows in minutes that every stage runs, and what a step costs."""
