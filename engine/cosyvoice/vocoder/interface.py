"""What the vocoders of both families have in common, for those who run them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

from torch import Tensor

from .streaming import StreamPolicy


class VocoderSession(Protocol):
    """One utterance's place in the stream. policy: may be changed between steps."""

    policy: StreamPolicy

    @property
    def nbytes(self) -> int: ...

    def copy(self) -> Self:
        """An independent state at the same place."""
        ...


class StreamingVocoder(Protocol):
    """Mel to sound, over streams of mel; see Hift."""

    @property
    def look_ahead(self) -> int:
        """Mel frames after a frame that its sound depends on."""
        ...

    @property
    def state_bytes(self) -> int:
        """What an utterance keeps, about."""
        ...

    # A session is only ever given to the vocoder that made it.
    def start(self, policy: StreamPolicy | None = None, seed: int | None = None) -> Any: ...

    def step(
        self,
        states: Sequence[Any],
        mels: Sequence[Tensor],
        final: Sequence[bool],
        speeds: Sequence[float] | None = None,
    ) -> list[Tensor]: ...
