"""What a family is: all that one generation of CosyVoice does unlike the others, as one value.

`cosyvoice2.py` and `cosyvoice3.py` have the values. Nothing else asks which family a model is of; it asks the
model's family.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..config import ModelConfig
from .sizes import Shapes, SizeTable


@dataclass(frozen=True, slots=True)
class Family:
    """name: of the engine, in answers and in a converted checkpoint. title: in messages.

    The checkpoint. yaml, speech_tokenizer: names of its files. lm_files: names of the LM's weights, without
    the suffix, by variant; `base` is one. config: the sizes' class, which also has the
    LM's ids. sizes: how the files state the sizes. recognises: by part, whether weights of these shapes are
    of this family. networks: by part, what makes the module of a ModelConfig's section.
    """

    name: str
    title: str
    yaml: str
    speech_tokenizer: str
    lm_files: Mapping[str, str]
    config: type[ModelConfig]
    sizes: SizeTable
    recognises: Mapping[str, Callable[[Shapes], bool]]
    networks: Mapping[str, Callable[[Any], nn.Module]]

    def network(self, config: ModelConfig, part: str) -> nn.Module:
        """The module of a part: `llm`, `flow` or `hift`. Its parameters are not set."""
        section = {"llm": config.lm, "flow": config.flow, "hift": config.hift}[part]
        return self.networks[part](section)
