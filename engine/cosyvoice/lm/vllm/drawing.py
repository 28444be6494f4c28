"""One input as vLLM gets it: how its tokens are drawn, its sampling parameters, and what is refused before.

vLLM itself only ever takes the most probable id: a logits processor in its worker bans ids, draws by
sampling.py and leaves the drawn id alone standing. So the result depends on the stream's seed and on how many
tokens it has drawn before, not on vLLM's random numbers nor on how it batches or preempts; the torch LM draws
the same tokens from the same seed.

Some requests would end vLLM's engine, and with it all streams, so they are refused here. vLLM checks neither
ids that are out of range (without a tokenizer) nor that a session stays within max_model_len as it grows, and
penalties and prompt log-probabilities index by the head's size what is numbered by the embedding's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from ..bistream import LmInput
from ..interface import SamplingOptions
from ..sampling import Draw, UniformSource

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.engine.protocol import StreamingInput
from ..ids import IdSpace
from ..interface import LmTooLong

KEY: Final = "cosyserve"
"""Our key in the sampling parameters' extra_args."""
LONGEST_WINDOW: Final = 256


@dataclass(frozen=True, slots=True)
class InputDrawing:
    """ids: the head's; every id below is less.

    banned: never drawn; held: neither, before the first `min_tokens` of the input.
    history: the stream's last decoded ids before the input.
    seed, drawn: of the stream's random numbers, and how many the inputs before have used.
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
    def of_input(
        cls,
        lm_input: LmInput,
        options: SamplingOptions,
        history: Sequence[int],
        *,
        ids: int,
        seed: int,
        drawn: int,
    ) -> InputDrawing:
        """Raises ValueError for options that it cannot express."""
        return cls(
            ids=ids,
            max_tokens=lm_input.max_tokens,
            min_tokens=min(lm_input.min_tokens, lm_input.max_tokens),
            banned=lm_input.banned_ids,
            held=lm_input.stop_ids,
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
    def read(cls, extra_args: Mapping[str, Any] | None) -> InputDrawing:
        """Reads what `written` returned. Raises ValueError for anything else."""
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
        """A random number in [0, 1) for each token of the input; none if it is greedy."""
        if self.greedy:
            return []
        return UniformSource(self.seed).numbers(self.drawn, self.drawn + self.max_tokens)


class InputDraws:
    """The draws of one input, by the tokens that it has so far."""

    def __init__(self, drawing: InputDrawing) -> None:
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
        # A step past the input's end, which vLLM may have begun before it saw the end, counts for nothing.
        uniform = self._uniforms[min(len(tokens), drawing.max_tokens - 1)]
        recent = (*drawing.history, *tokens[-drawing.win :])[-drawing.win :] if drawing.win else ()
        return Draw(banned, recent, uniform, self._options)


def sampling_parameters(drawing: InputDrawing) -> SamplingParams:
    """The most probable id always: the logits processor leaves one. See drawing.py."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=0.0,
        max_tokens=drawing.max_tokens,
        stop_token_ids=list(drawing.held),
        ignore_eos=True,
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
        extra_args=drawing.written(),
    )


def streaming_input(ids: Sequence[int], drawing: InputDrawing, tenant: str = "") -> StreamingInput:
    """ids: to append to what the request has read. tenant: finds only its own in the cache of prefixes."""
    from vllm import TokensPrompt
    from vllm.engine.protocol import StreamingInput

    prompt = TokensPrompt(prompt_token_ids=list(ids))
    if tenant:
        prompt["cache_salt"] = tenant
    return StreamingInput(prompt=prompt, sampling_params=sampling_parameters(drawing))


def check_input(lm_input: LmInput, ids: IdSpace, context: int, max_model_len: int) -> None:
    """Before an input is handed over to a request of which `context` ids are read already.

    Raises ValueError for ids out of range, LmTooLong.
    """
    for number in lm_input.ids:
        if not 0 <= number < ids.size:
            raise ValueError(f"id {number} is not in 0..{ids.size - 1}")
    for number in (*lm_input.stop_ids, *lm_input.banned_ids):
        if not 0 <= number < ids.head_size:
            raise ValueError(f"id {number} is not in 0..{ids.head_size - 1}")
    if not lm_input.ids or lm_input.max_tokens < 1:
        raise ValueError("a input reads an id and draws a token at least")
    if context + len(lm_input.ids) + lm_input.max_tokens > max_model_len:
        raise LmTooLong("the reference and the text are too long for the speech model")


def check_parameters(parameters: Any) -> None:
    """Check a request's parameters as vLLM takes it in.

    Raises ValueError for parameters that neither our streams nor a trial of the engine use.
    """
    wrong = [name for name, value in _NEUTRAL.items() if getattr(parameters, name) != value]
    if wrong:
        raise ValueError(f"the speech model takes no {', '.join(wrong)}")
    if KEY not in (parameters.extra_args or {}):
        return
    drawing = InputDrawing.read(parameters.extra_args)
    if parameters.max_tokens != drawing.max_tokens:
        raise ValueError("there has to be a random number for each token")
    if tuple(parameters.stop_token_ids or ()) != drawing.held:
        raise ValueError("the ids that are held back have to be those that stop")


_NEUTRAL: Final[Mapping[str, object]] = {
    "n": 1,
    "temperature": 0.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "repetition_penalty": 1.0,
    "logprobs": None,
    "prompt_logprobs": None,
    "logit_bias": None,
    "allowed_token_ids": None,
}
