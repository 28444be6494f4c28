"""What a family is: all that one generation of CosyVoice does unlike the others, as one value.

`cosyvoice2.py` and `cosyvoice3.py` have the values. Nothing else asks which family a model is of; it asks the
model's family.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..config import ModelConfig
from ..lm import LmPrompt
from ..lm.silence import SilentTokens
from ..text import TextProcessor
from ..text.sounds import SoundTokens
from .sizes import Shapes, SizeTable


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a task speaks with, for the LM's prompt: all empty is a voice without words of its own.

    transcript, speech: tokens of what the voice's clip says. instruction: of the task, as it came.
    tenant: as in LmPrompt.
    """

    transcript: tuple[int, ...] = ()
    speech: tuple[int, ...] = ()
    instruction: str = ""
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """name: of the engine, in answers and in a converted checkpoint. title: in messages. models: names of
    the published model, by which clients ask for it.

    The checkpoint. yaml, speech_tokenizer: names of its files. lm_files: names of the LM's weights, without
    the suffix, by variant; `base` is one. config: the sizes' class, which also has the
    LM's ids. sizes: how the files state the sizes. recognises: by part, whether weights of these shapes are
    of this family. networks: by part, what makes the module of a ModelConfig's section.

    Text. special_tokens: of the tokenizer, in the order of their numbers. sounds: those of them that spell
    words. katakana: whether Japanese is given in it. lm_prompt: what the LM reads before the text.
    languages: BCP-47 tags.

    Sound. prompt_mel_top: Hz of the highest filter of a voice's mel. silence: None where all speech tokens
    are spoken.
    """

    name: str
    title: str
    models: tuple[str, ...]
    yaml: str
    speech_tokenizer: str
    lm_files: Mapping[str, str]
    config: type[ModelConfig]
    sizes: SizeTable
    recognises: Mapping[str, Callable[[Shapes], bool]]
    networks: Mapping[str, Callable[[Any], nn.Module]]
    special_tokens: Sequence[str]
    sounds: SoundTokens | None
    katakana: bool
    lm_prompt: Callable[[TextProcessor, Spoken], LmPrompt]
    languages: tuple[str, ...]
    prompt_mel_top: float
    silence: SilentTokens | None

    def network(self, config: ModelConfig, part: str) -> nn.Module:
        """The module of a part: `llm`, `flow` or `hift`. Its parameters are not set."""
        section = {"llm": config.lm, "flow": config.flow, "hift": config.hift}[part]
        return self.networks[part](section)
