"""What an engine loads from a checkpoint, and where it puts it."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch

from ..errors import EngineNotReady
from .checkpoint import Checkpoint, open_checkpoint
from .prompt import SpeakerEncoder, SpeechTokenizer
from .options import CosyVoiceOptions, Precision
from .speakers import load_speakers
from .text import TextProcessor, TextTokenizer, TokenizerError, load_normalizer
from .prompt.voice import VoicePreparer, VoicePrompt

_log = logging.getLogger(__name__)

_DTYPES: Final[Mapping[str, torch.dtype]] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What of a checkpoint is ready before the device is touched. speakers: the voices it brings along."""

    checkpoint: Checkpoint
    text: TextProcessor
    preparer: VoicePreparer
    speakers: dict[str, VoicePrompt]


def load(options: CosyVoiceOptions, device: torch.device) -> Loaded:
    """What needs no device. Blocking. Raises CheckpointError, OnnxModelError, TokenizerError, OSError."""
    checkpoint = open_checkpoint(options.model)
    files = checkpoint.files
    assert files is not None
    tokenizer = TextTokenizer.load(files.tokenizer_folder)
    if tokenizer.size > checkpoint.config.lm.vocab_size:
        raise TokenizerError(
            f"the tokenizer has {tokenizer.size} tokens, the model {checkpoint.config.lm.vocab_size}"
        )
    normalizer = load_normalizer()
    if normalizer.notice is not None:
        _log.warning(normalizer.notice)
    text = TextProcessor(tokenizer, normalizer, options.utterances, options.strip_markup)
    preparer = VoicePreparer(
        text,
        SpeechTokenizer(files.speech_tokenizer, cuda=device.type == "cuda"),
        SpeakerEncoder(files.campplus, size=checkpoint.config.flow.speaker_size),
    )
    speakers = {} if files.speakers is None else load_speakers(files.speakers, checkpoint.config)
    return Loaded(checkpoint, text, preparer, speakers)


def pick_device(name: str) -> torch.device:
    """Raises EngineNotReady."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise EngineNotReady(f"device: there is no {name}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineNotReady(f"device: there is no {name}")
    return device


def pick_dtype(precision: Precision, device: torch.device, on_cuda: torch.dtype) -> torch.dtype:
    """on_cuda: what "auto" is there."""
    if precision == "auto":
        return on_cuda if device.type == "cuda" else torch.float32
    return _DTYPES[precision]


def free_memory(device: torch.device) -> int:
    """Bytes that are free on the device now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
