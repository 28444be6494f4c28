"""The flow of CosyVoice 3: a diffusion transformer."""

from .model import DitFlow
from .network import Dit

__all__ = ["Dit", "DitFlow"]
