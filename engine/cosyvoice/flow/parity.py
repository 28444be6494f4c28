"""An utterance in the reference's layout, and ways to speak it; for comparison with the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from .model import Flow
from .state import FlowState


@dataclass(frozen=True)
class Case:
    """token [1, N], prompt_token [1, P], prompt_feat [1, F, mel], embedding [1, speaker size]."""

    token: Tensor
    prompt_token: Tensor
    prompt_feat: Tensor
    embedding: Tensor

    @classmethod
    def of(cls, arrays: Mapping[str, Tensor]) -> Self:
        """Of the arrays of these names. Raises KeyError."""
        keys = ("token", "prompt_token", "prompt_feat", "embedding")
        return cls(*(arrays[key] for key in keys))

    @property
    def voice(self) -> tuple[Tensor, Tensor, Tensor]:
        """What Flow.prepare_prompt takes."""
        return self.prompt_token, self.prompt_feat, self.embedding

    def prefix(self, flow: Flow, tokens: int, *, streaming: bool, finalize: bool) -> Tensor:
        """The mel [1, mel, T] of the first `tokens` tokens at once; see Flow.inference."""
        first = self.token[:, :tokens]
        return flow.inference(first, *self.voice, streaming=streaming, finalize=finalize)

    def whole(self, flow: Flow, *, streaming: bool = True) -> Tensor:
        """The mel [mel, T] of all tokens at once."""
        return self.prefix(flow, self.token.shape[1], streaming=streaming, finalize=True)[0]


def speak(flow: Flow, state: FlowState, tokens: Tensor, hops: Sequence[int]) -> list[Tensor]:
    """The mel [mel, m] of each step over tokens [N]; the last hop takes all that is left and is final."""
    mels, at = [], 0
    for number, hop in enumerate(hops):
        last = number == len(hops) - 1
        end = tokens.shape[0] if last else at + hop
        mels += flow.step([state], [tokens[at:end]], [last])
        at = end
    return mels
