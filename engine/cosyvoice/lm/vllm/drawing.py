"""How the tokens of one chunk are drawn, as it travels with the chunk's sampling parameters into vLLM.

vLLM itself only ever takes the most probable id: a logits processor in its worker bans ids, draws by the
law of sampling.py and leaves the drawn id alone standing. So what is drawn depends on the stream's seed and
on how many tokens it has drawn before, not on vLLM's random numbers or on how it batches or preempts; the
torch LM draws the same tokens from the same seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from ..interface import SamplingOptions
from ..bistream import Chunk
from ..sampling import Draw, UniformSource

KEY: Final = "cosyserve"
"""Of the sampling parameters' extra_args."""
LONGEST_WINDOW: Final = 256


@dataclass(frozen=True, slots=True)
class ChunkDrawing:
    """ids: the head's; every id below is less.

    banned: never drawn; held: neither, before the first `min_tokens` of the chunk.
    history: the stream's last decoded ids before the chunk.
    seed, drawn: of the stream's random numbers, and how many the chunks before have used.
    """

    ids: int
    max_tokens: int
    min_tokens: int
    banned: tuple[int, ...]
    held: tuple[int, ...]
    greedy: bool
    top_p: float
    top_k: int
    win: int
    tau: float
    history: tuple[int, ...]
    seed: int
    drawn: int

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or self.min_tokens < 0 or self.drawn < 0:
            raise ValueError("max_tokens is at least 1, min_tokens and drawn are at least 0")
        if not 0 <= self.win <= LONGEST_WINDOW or len(self.history) > self.win:
            raise ValueError(f"win is in 0..{LONGEST_WINDOW} and the history no longer than it")
        if not all(0 <= i < self.ids for i in (*self.banned, *self.held, *self.history)):
            raise ValueError(f"an id is not in 0..{self.ids - 1}")
        if len({*self.banned, *(self.held if self.min_tokens else ())}) >= self.ids:
            raise ValueError("every id is banned")
        self.options()

    @classmethod
    def of_chunk(
        cls,
        chunk: Chunk,
        options: SamplingOptions,
        history: Sequence[int],
        *,
        ids: int,
        seed: int,
        drawn: int,
    ) -> ChunkDrawing:
        """Raises ValueError for what cannot be drawn so."""
        return cls(
            ids=ids,
            max_tokens=chunk.max_tokens,
            min_tokens=min(chunk.min_tokens, chunk.max_tokens),
            banned=chunk.banned_ids,
            held=chunk.stop_ids,
            greedy=options.greedy,
            top_p=options.top_p,
            top_k=options.top_k,
            win=options.win,
            tau=options.tau,
            history=() if options.greedy or not options.win else tuple(history[-options.win :]),
            seed=seed,
            drawn=drawn,
        )

    @classmethod
    def read(cls, extra_args: Mapping[str, Any] | None) -> ChunkDrawing:
        """What `written` gave. Raises ValueError for anything else."""
        given = (extra_args or {}).get(KEY)
        names = {field.name for field in fields(cls)}
        if not isinstance(given, Mapping) or given.keys() != names:
            raise ValueError(f"extra_args[{KEY!r}] has to hold {', '.join(sorted(names))}")
        try:
            lists = {name: tuple(given[name]) for name in ("banned", "held", "history")}
            return cls(**{**given, **lists})
        except TypeError as error:
            raise ValueError(f"extra_args[{KEY!r}]: {error}") from error

    def written(self) -> dict[str, Any]:
        """For a request's extra_args: numbers and lists of them."""
        lists = {name: list(getattr(self, name)) for name in ("banned", "held", "history")}
        return {KEY: asdict(self) | lists}

    def options(self) -> SamplingOptions:
        return SamplingOptions(
            top_p=self.top_p, top_k=self.top_k, win=self.win, tau=self.tau, greedy=self.greedy
        )

    @property
    def no_result(self) -> int:
        """Stands for a token where the model's numbers have overflowed: one that is banned anyway."""
        return self.banned[0] if self.banned else 0

    def uniforms(self) -> list[float]:
        """A random number in [0, 1) for each token of the chunk; none if it is greedy."""
        if self.greedy:
            return []
        return UniformSource(self.seed).numbers(self.drawn, self.drawn + self.max_tokens)


class ChunkDraws:
    """The draws of one chunk, by the tokens that it has so far."""

    def __init__(self, drawing: ChunkDrawing) -> None:
        self._drawing = drawing
        self._options = drawing.options()
        self._uniforms = drawing.uniforms()
        self.no_result = drawing.no_result

    def next(self, tokens: Sequence[int]) -> Draw:
        """How to draw the token after these. Pure: a step that is computed twice draws twice the same."""
        drawing = self._drawing
        banned = drawing.banned
        if len(tokens) < drawing.min_tokens:
            banned += drawing.held
        if drawing.greedy:
            return Draw(banned, (), 0.0, self._options)
        # A step past the chunk's end, which vLLM may have begun before it saw the end, counts for nothing.
        uniform = self._uniforms[min(len(tokens), drawing.max_tokens - 1)]
        recent = (*drawing.history, *tokens[-drawing.win :])[-drawing.win :] if drawing.win else ()
        return Draw(banned, recent, uniform, self._options)
