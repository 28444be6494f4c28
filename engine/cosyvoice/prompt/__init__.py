"""Prompts: what the models are conditioned with, computed from a reference clip.

Sound in is mono, float32, [1, samples], full scale +-1; layouts are those of the reference code.

    resample         any rate -> 24 kHz or 16 kHz
    prompt_mel       24 kHz -> [1, 80, frames], 50 frames a second: the flow's prompt
    whisper_log_mel  16 kHz -> [1, 128, frames], 100 a second: the speech tokenizer's input
    speaker_fbank    16 kHz -> [frames, 80], 100 a second: the speaker encoder's input
    SpeechTokenizer, SpeakerEncoder  the two ONNX models
"""

from __future__ import annotations

from .fbank import kaldi_fbank, speaker_fbank
from .mel import prompt_mel, slaney_filters, whisper_log_mel
from .onnx import OnnxModelError, SpeakerEncoder, SpeechTokenizer
from .resample import resample

__all__ = [
    "OnnxModelError",
    "SpeakerEncoder",
    "SpeechTokenizer",
    "kaldi_fbank",
    "prompt_mel",
    "resample",
    "slaney_filters",
    "speaker_fbank",
    "whisper_log_mel",
]
