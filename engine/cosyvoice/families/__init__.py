"""The families of CosyVoice that are served: see `family.Family`."""

from __future__ import annotations

from typing import Final

from ..config import ModelConfig
from .cosyvoice2 import COSYVOICE2
from .cosyvoice3 import COSYVOICE3
from .family import Family

__all__ = ["COSYVOICE2", "COSYVOICE3", "FAMILIES", "Family", "family_of"]

FAMILIES: Final = (COSYVOICE2, COSYVOICE3)


def family_of(config: ModelConfig) -> Family:
    """The family that a model of these sizes is of."""
    return next(family for family in FAMILIES if isinstance(config, family.config))
