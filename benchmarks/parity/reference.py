"""The reference's own chunk loop over flow and vocoder, for comparison with it; not used in production.

What it does differently from streaming.py: eight mel frames and their source are put in front of each chunk
(the phase of the new source does not continue them), the overlap is faded with the halves of a Hamming
window, which add up to 1.08, and the last chunk is made with full attention.

    token2wav(hift, mel_of(flow, case), tokens, prompt_tokens, loop_named("hop25"))
    play(hift, mel_of(flow, case), calls)       # any schedule

An utterance in the reference's layout, and ways to speak it; for comparison with the reference.

The reference's entry points of the speech LM, on our parts, one text at a time.

Arrays have the reference's layout: ids are integer tensors [1, n] under the reference's own numbering
(text ids as the tokenizer gives them, speech tokens from 0), logits are fp32 [steps, speech ids] of
every forward step of the reference, including those whose result it overrides by a forced fill token.

    decoder = LmDecoder(model)
    hidden, logits = forward(decoder, text, prompt_text, prompt_speech_token)
    inference(decoder, text, prompt_text, prompt_speech_token, sampler)
    inference_bistream(decoder, pieces, prompt_text, prompt_speech_token, sampler)

A sampler stands for the reference's sampling_ids: it gets log-probabilities [ids] (with the end of speech
at -inf where it is masked), the ids decoded so far (fill tokens included, forced ones too, as in the
reference's out_tokens), and whether the end of speech is masked. `scripted` makes the golden vectors' one.

It may return any stop id, whatever is masked. In `inference` each of them ends the speech. In
`inference_bistream` the fill token ends a group and the end of speech the final phase; any other stop id is a
ValueError, as in the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from cosyserve.engine.cosyvoice.config import FRAMES_PER_TOKEN, MEL_HOP
from cosyserve.engine.cosyvoice.flow import Flow
from cosyserve.engine.cosyvoice.flow.state import FlowState
from cosyserve.engine.cosyvoice.lm.bistream import (
    REFERENCE,
    Bistream,
    Composition,
    LmInput,
    LmLimits,
    Quirks,
    Unistream,
)
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder, Span
from cosyserve.engine.cosyvoice.lm.ids import IdSpace
from cosyserve.engine.cosyvoice.lm.interface import LmPrompt
from cosyserve.engine.cosyvoice.vocoder.hift import Hift


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


Sampler = Callable[[Tensor, Sequence[int], bool], int]
"""(log-probabilities [ids], ids decoded so far, is the end of speech masked) -> id."""


@dataclass(slots=True)
class Decoding:
    """tokens: the speech, as the reference yields it. step_logits: [steps, ids], before any masking.

    pieces_pulled: for each token how many pieces of text had been asked for by then.
    context: all ids that were read, in order (ids.IdSpace).
    """

    tokens: list[int] = field(default_factory=list)
    logits: list[Tensor] = field(default_factory=list)
    pieces_pulled: list[int] = field(default_factory=list)
    context: list[int] = field(default_factory=list)

    @property
    def step_logits(self) -> Tensor:
        return torch.stack(self.logits)


def greedy(log_probabilities: Tensor, decoded: Sequence[int], eos_masked: bool) -> int:
    return int(log_probabilities.argmax())


def scripted(ids: IdSpace, fill_at: Collection[int], eos_at: int) -> Sampler:
    """The most probable id, but stop ids at set places, counted in ids decoded so far (fill tokens included).

    fill_at: the places of a fill token. eos_at: from there on the end of speech, where it is not masked.
    The golden vectors' `fill_at_len_out_tokens` and `eos_at_len_out_tokens`.
    """

    def sample(log_probabilities: Tensor, decoded: Sequence[int], eos_masked: bool) -> int:
        if len(decoded) in fill_at:
            return ids.fill
        if len(decoded) >= eos_at and not eos_masked:
            return ids.eos
        return greedy(log_probabilities, decoded, eos_masked)

    return sample


@torch.inference_mode()
def forward(
    decoder: LmDecoder, text: Tensor, prompt_text: Tensor, prompt_speech_token: Tensor
) -> tuple[Tensor, Tensor]:
    """Of [sos, prompt text, text, task, prompt speech]: hidden [1, n, hidden], logits [1, n, ids]."""
    ids = decoder.ids
    context = (
        ids.sos,
        *ids.text(_numbers(prompt_text)),
        *ids.text(_numbers(text)),
        ids.task,
        *ids.speech(_numbers(prompt_speech_token)),
    )
    hidden = decoder.forward([Span(0, 0, context)], decoder.new_cache())
    return decoder.normed(hidden).unsqueeze(0), decoder.logits(hidden).unsqueeze(0)


@torch.inference_mode()
def inference(
    decoder: LmDecoder,
    text: Tensor,
    prompt_text: Tensor,
    prompt_speech_token: Tensor,
    sampler: Sampler = greedy,
    min_token_text_ratio: float = 2.0,
    max_token_text_ratio: float = 20.0,
) -> Decoding:
    """All of the text first. Any stop id that is sampled ends the speech."""
    limits = LmLimits(
        min_token_text_ratio, max_token_text_ratio, decoder.config.max_position_embeddings
    )
    plan = Unistream(decoder.config, _prompt(prompt_text, prompt_speech_token), limits)
    ids = decoder.ids
    ends = (ids.eos, ids.unused, ids.fill)
    return _decode(decoder, plan, iter([_numbers(text)]), sampler, ends)


@torch.inference_mode()
def inference_bistream(
    decoder: LmDecoder,
    pieces: Iterable[Tensor],
    prompt_text: Tensor,
    prompt_speech_token: Tensor,
    sampler: Sampler = greedy,
    quirks: Quirks = REFERENCE,
) -> Decoding:
    """Text and speech in turn. The pieces are taken one by one, each when the reference would take it.

    Raises ValueError if the sampler returns a stop id that is not due.
    """
    limits = LmLimits(0.0, float("inf"), decoder.config.max_position_embeddings)
    prompt = _prompt(prompt_text, prompt_speech_token)
    plan = Bistream(decoder.config, prompt, limits, quirks)
    return _decode(decoder, plan, map(_numbers, pieces), sampler)


def _decode(
    decoder: LmDecoder,
    plan: Composition,
    pieces: Iterator[list[int]],
    sampler: Sampler,
    ends: Collection[int] = (),
) -> Decoding:
    """ends: ids that are taken for the stop id that is due."""
    found = Decoding()
    cache = decoder.new_cache()
    pulled = 0
    forced = False
    while not plan.done:
        chunk = plan.next_chunk()
        if chunk is None:
            pulled += _pull(pieces, plan)
            continue
        tokens: list[int] = []
        ids: Sequence[int] = chunk.ids
        while True:
            hidden = decoder.forward([Span(0, len(found.context), ids)], cache)
            found.context.extend(ids)
            # The reference reads a forced group's last token in a step of its own.
            found.logits.extend(decoder.logits(hidden[[0, -1]] if forced else hidden[-1:]))
            forced = False
            token = _sample(sampler, chunk, found.logits[-1], plan.decoded, tokens)
            if token >= decoder.ids.eos:
                token = _stop(token, chunk, ends)
            tokens.append(token)
            if token in chunk.stop_ids:
                break
            found.tokens.append(token)
            found.pieces_pulled.append(pulled)
            if len(tokens) == chunk.max_tokens:
                forced = not chunk.final
                break
            ids = (token,)
        plan.ended(tokens)
    return found


def _pull(pieces: Iterator[list[int]], plan: Composition) -> int:
    """Feeds the next piece; without one, the text is finished. How many pieces that were."""
    piece = next(pieces, None)
    if piece is None:
        plan.finish()
        return 0
    plan.feed(piece)
    return 1


def _sample(
    sampler: Sampler, chunk: LmInput, logits: Tensor, decoded: Sequence[int], tokens: Sequence[int]
) -> int:
    eos = logits.shape[-1] - 3
    masked = eos in chunk.banned_ids or len(tokens) < chunk.min_tokens
    scores = logits.log_softmax(-1)
    if masked:
        scores[eos] = float("-inf")
    return sampler(scores, [*decoded, *tokens], masked)


def _stop(token: int, chunk: LmInput, ends: Collection[int]) -> int:
    """The stop id that the chunk ends with. Raises ValueError if this one does not end it."""
    if token in chunk.stop_ids:
        return token
    if token in ends:
        return chunk.stop_ids[0]
    raise ValueError(f"stop id {token} was sampled, where only {chunk.stop_ids[0]} may be")


def _prompt(text: Tensor, speech: Tensor) -> LmPrompt:
    return LmPrompt(tuple(_numbers(text)), tuple(_numbers(speech)))


def _numbers(ids: Tensor) -> list[int]:
    numbers: list[int] = ids.flatten().tolist()
    return numbers


MelFunction = Callable[[int, bool, bool], Tensor]
"""(tokens, streaming, finalize) -> mel [1, 80, T] of the first `tokens` speech tokens, without the prompt."""

CACHED_FRAMES: Final = 8
OVERLAP: Final = CACHED_FRAMES * MEL_HOP


@dataclass(frozen=True, slots=True)
class Loop:
    """How a case of the loop runs.

    stream: in chunks, else one call. hop: tokens per chunk; growth, longest: each chunk's hop times the
    last one's, up to that. final_streaming: keep the chunk mask in the last call. speed: offline only.
    """

    stream: bool = True
    hop: int = 25
    growth: int = 1
    longest: int = 100
    final_streaming: bool = False
    speed: float = 1.0


LOOPS: Final = {
    "offline": Loop(stream=False),
    "hop25": Loop(),
    "doubling": Loop(growth=2),
    "hop25_finalstream": Loop(final_streaming=True),
    "final_nonstream": Loop(),
    "final_stream": Loop(final_streaming=True),
}
"""The cases of the golden vectors by name; `loop_named` also knows those with a speed."""


def loop_named(name: str) -> Loop:
    """`hop25`, `doubling`, ... of LOOPS; `offline_speed1.3` with any speed.

    Raises ValueError for any other name.
    """
    known, _, speed = name.partition("_speed")
    if known not in LOOPS or (speed and LOOPS[known].stream):
        raise ValueError(f"{name}: no such loop; there are {', '.join(LOOPS)}, offline_speed1.3")
    return replace(LOOPS[known], speed=float(speed)) if speed else LOOPS[known]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the reference's loop.

    tokens: those known by then. offset: those whose mel was used before; of this call's mel what follows
    them is. streaming, finalize: as MelFunction takes them.
    """

    tokens: int
    offset: int
    streaming: bool
    finalize: bool


def calls_of(loop: Loop, tokens: int, prompt_tokens: int, look_ahead: int = 3) -> list[Call]:
    """The calls for `tokens` speech tokens after a prompt of `prompt_tokens`; the last one is final."""
    ends = list(chunk_ends(tokens, prompt_tokens, loop, look_ahead)) if loop.stream else []
    offsets = [0, *ends]
    calls = [
        Call(end + look_ahead, offset, True, False)
        for end, offset in zip(ends, offsets, strict=False)
    ]
    return [*calls, Call(tokens, offsets[-1], loop.final_streaming, True)]


def token2wav(
    hift: Hift, mel: MelFunction, tokens: int, prompt_tokens: int, loop: Loop, look_ahead: int = 3
) -> list[Tensor]:
    """The chunks [1, n] of an utterance of `tokens` speech tokens, without noise.

    mel: of `mel_of`, or any other. look_ahead: the flow's, in tokens.
    """
    return play(hift, mel, calls_of(loop, tokens, prompt_tokens, look_ahead), loop.speed)


@torch.inference_mode()
def play(hift: Hift, mel: MelFunction, calls: Sequence[Call], speed: float = 1.0) -> list[Tensor]:
    """The chunks [1, n] of these calls, without noise. speed: of a single call only, as in the reference.

    Raises ValueError for another speed than 1 with more calls.
    """
    if speed != 1.0 and len(calls) > 1:
        raise ValueError("only an utterance in one call has a speed")
    chain = ReferenceChain(hift)
    chunks = []
    for call in calls:
        whole = mel(call.tokens, call.streaming, call.finalize)
        new = whole[:, :, call.offset * FRAMES_PER_TOKEN :]
        if speed != 1.0:
            new = F.interpolate(new, size=int(new.shape[2] / speed), mode="linear")
        chunks.append(chain.feed(new, final=call.finalize))
    return chunks


def mel_of(flow: Flow, case: Case) -> MelFunction:
    """The mel of this flow speaking this case, as token2wav takes it; each prefix is computed once."""

    @cache
    def mel(tokens: int, streaming: bool, finalize: bool) -> Tensor:
        return case.prefix(flow, tokens, streaming=streaming, finalize=finalize)

    return mel


def chunk_ends(tokens: int, prompt_tokens: int, loop: Loop, look_ahead: int) -> Iterator[int]:
    """Tokens at which the chunks before the last one end; the first is padded to the prompt's grid."""
    hop = loop.hop
    end = hop + -prompt_tokens % hop
    while end + look_ahead <= tokens:
        yield end
        hop = min(hop * loop.growth, loop.longest)
        end += hop


class ReferenceChain:
    """Mel chunks [1, 80, n] in, wave [1, m] out, joined as the reference joins them."""

    def __init__(self, hift: Hift) -> None:
        self._hift = hift
        self._mel: Tensor | None = None
        self._source: Tensor | None = None
        self._speech: Tensor | None = None

    def feed(self, mel: Tensor, *, final: bool) -> Tensor:
        """All but the last OVERLAP samples, or everything if final."""
        if self._mel is not None:
            mel = torch.cat([self._mel, mel], dim=2)
        wave, source = self._hift.inference(mel, self._source)
        if self._speech is not None:
            window = torch.hamming_window(
                2 * OVERLAP, periodic=False, dtype=torch.float64, device=wave.device
            )
            faded = wave[:, :OVERLAP] * window[:OVERLAP] + self._speech * window[OVERLAP:]
            wave = torch.cat([faded.to(wave.dtype), wave[:, OVERLAP:]], dim=1)
        if final:
            return wave
        self._mel = mel[:, :, -CACHED_FRAMES:]
        self._source = source[:, :, -OVERLAP:]
        self._speech = wave[:, -OVERLAP:]
        return wave[:, :-OVERLAP]
