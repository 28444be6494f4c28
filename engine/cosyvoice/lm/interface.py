"""The speech LM as the engine sees it: text ids in, speech tokens out, and the errors it may end with.

Which tokens come out depends on the prompt, the options and the whole text, and on nothing else: not on how
the text is cut into pieces, not on when the pieces come, not on what other streams do. (As far as floating
point allows: a backend that computes several streams at once may round differently, and a draw that falls
between two such roundings comes out differently.)

EngineError
├── EngineDied
│   └── LmFailed        a step of the model failed: out of memory, a fault of the device
└── LmError             this stream only
    ├── LmLoop          the model repeats itself and the options ask for an error
    ├── LmNotFinite     its numbers overflowed, in full precision as well
    └── LmTooLong       text, prompt and speech do not fit into the model's context
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ...interface import EngineDied, EngineError


class LmFailed(EngineDied): ...


class LmError(EngineError): ...


class LmLoop(LmError): ...


class LmNotFinite(LmError): ...


class LmTooLong(LmError): ...


@dataclass(frozen=True, slots=True)
class LmPrompt:
    """Precedes the text: the reference's text (or an instruction) and the reference's speech tokens.

    tenant: streams of different tenants share nothing that was computed of a text.
    opening_ids: text that stands before all else; no speech belongs to it.
    """

    text_ids: tuple[int, ...] = ()
    speech_ids: tuple[int, ...] = ()
    tenant: str = ""
    opening_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How tokens are drawn and when a stream ends.

    seed: None draws one at random.
    top_p, top_k, win, tau: of repetition-aware sampling (sampling.RasParams).
    greedy: always the most probable token; the seed means nothing then.
    min_ratio, max_ratio: the fewest and the most speech tokens per text token.
    bistream: text and speech alternate as the text comes; False waits for `finish` and then reads all
    of the text first, which is how the model speaks best.
    loop_seconds: speech that repeats one token or one short cycle for that long is a loop; 0 never.
    on_loop: "end" ends the stream there, "fail" raises LmLoop.
    """

    seed: int | None = None
    top_p: float = 0.8
    top_k: int = 25
    win: int = 10
    tau: float = 0.1
    greedy: bool = False
    min_ratio: float = 2.0
    max_ratio: float = 20.0
    bistream: bool = True
    loop_seconds: float = 4.0
    on_loop: Literal["end", "fail"] = "end"

    def __post_init__(self) -> None:
        if not (0.0 < self.top_p <= 1.0 and self.top_k >= 1 and self.win >= 0 and self.tau >= 0.0):
            raise ValueError("top_p is in (0, 1], top_k at least 1, win and tau at least 0")
        if not 0.0 <= self.min_ratio <= self.max_ratio:
            raise ValueError("min_ratio is at least 0 and at most max_ratio")


class SpeechTokenStream(Protocol):
    """One text's speech tokens, without stop ids and fill tokens.

    Iterate it once for the tokens, in pieces as they come: whatever is ready, at least one token.
    Iteration ends when the speech ends and at once after `cancel`; it raises EngineError. Tokens run
    ahead of the reader; they are bounded by the text's length.
    """

    @property
    def seconds(self) -> float:
        """The model's seconds spent on this stream: of each step it took part in, its share."""

    async def feed(self, text_ids: Sequence[int]) -> None:
        """More text. Never waits for the model. Ignored after the end of the stream.

        Raises ValueError for ids out of range and after `finish`.
        """

    async def finish(self) -> None:
        """No more text comes. Idempotent."""

    async def cancel(self) -> None:
        """Stop and free everything within one step. Idempotent; safe at any time."""

    def __aiter__(self) -> AsyncIterator[Sequence[int]]: ...


class SpeechLM(Protocol):
    @property
    def ready(self) -> bool:
        """Whether a text begun now would be spoken."""

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """End the streams that are open with an error and free the model's state. Idempotent."""

    def open(self, prompt: LmPrompt, options: SamplingOptions) -> SpeechTokenStream:
        """Begin a text. Raises ValueError for ids out of range, EngineNotReady, LmTooLong."""

    def stats(self) -> Mapping[str, float]:
        """Counters and gauges by name."""
