"""The reference's entry points of the speech LM, on our parts, one text at a time.

Arrays have the reference's layout: ids are integer tensors [1, n] under the reference's own numbering
(text ids as the tokenizer gives them, speech tokens from 0), logits are fp32 [steps, speech ids] of
every forward step of the reference, including those whose result it overrides by a forced fill token.

    decoder = LmDecoder(model)
    hidden, logits = forward(decoder, text, prompt_text, prompt_speech_token)
    inference(decoder, text, prompt_text, prompt_speech_token, sampler)
    inference_bistream(decoder, pieces, prompt_text, prompt_speech_token, sampler)

The prompt text of CosyVoice 3 stands up to `<|endofprompt|>` before all else: `opening` counts its ids.

A sampler stands for the reference's sampling_ids: it gets log-probabilities [ids] (with what cannot be drawn
at -inf), the ids decoded so far (fill tokens included, forced ones too, as in the reference's out_tokens),
and whether the reference asks for an end of speech. `scripted` makes the golden vectors' one.

It may return any id. In `inference` each special one ends the speech. In `inference_bistream` the fill token
ends a group and the end of speech the final phase; any other special id is a ValueError, as in the reference.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.config import LmConfig
from cosyserve.engine.cosyvoice.lm.bistream import (
    Bistream,
    Composition,
    LmInput,
    LmLimits,
    Unistream,
)
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder, Span
from cosyserve.engine.cosyvoice.lm.ids import IdSpace
from cosyserve.engine.cosyvoice.lm.interface import LmPrompt


@dataclass(frozen=True, slots=True)
class Quirks:
    """Where the reference's inference departs from what the model saw in training.

    refeed_last: when the text ends right after a fill token, the last input is read a second time.
    one_group_per_piece: each received piece of text brings one group at most, the rest waits for
    the next piece or for the final phase; so the speech depends on how the text was cut.
    drop_unpaired_prompt: prompt speech that found no text group before the text ended is left out.
    speaks_first: after an opening without prompt speech a group of speech is drawn before any text is read.
    masks_one: of the special ids that are not due one alone cannot be drawn: the first after the speech
    tokens, which is the end of speech in CosyVoice 2 and the sos in CosyVoice 3.
    """

    refeed_last: bool = False
    one_group_per_piece: bool = False
    drop_unpaired_prompt: bool = False
    speaks_first: bool = False
    masks_one: bool = False


CLEAN: Final = Quirks()
REFERENCE: Final = Quirks(True, True, True, True, True)


class QuirkyBistream(Bistream):
    """The engine's order of text and speech, with the reference's departures from it."""

    def __init__(
        self, config: LmConfig, prompt: LmPrompt, limits: LmLimits, quirks: Quirks = REFERENCE
    ) -> None:
        super().__init__(config, prompt, limits)
        self._quirks = quirks
        self._last_input: tuple[int, ...] = ()
        if quirks.speaks_first and prompt.opening_ids:
            self._needs_text = False

    def _compose(self) -> LmInput | None:
        if not self._quirks.one_group_per_piece:
            return super()._compose()
        waiting, self._pieces = self._pieces, deque()
        lm_input = None
        while lm_input is None and waiting:
            self._text.extend(waiting.popleft())
            lm_input = self._group()
        self._pieces = waiting
        return self._final() if lm_input is None and self._finished else lm_input

    def _final(self) -> LmInput | None:
        if self._quirks.refeed_last:
            self._unread.extend(self._last_input)
        if self._quirks.drop_unpaired_prompt:
            self._speech.clear()
        return super()._final()

    def _group_ended(self, speech: Sequence[int], stopped: bool) -> None:
        super()._group_ended(speech, stopped)
        if speech:
            self._last_input = (speech[-1],)

    def _submit(self) -> tuple[int, ...]:
        ids = super()._submit()
        # If the group brings no speech, this is what the reference holds as its last input. The token
        # that a full group left over was read by it before.
        left_over = bool(self.decoded) and ids[0] < self.ids.speech_size
        self._last_input = ids[1:] if left_over else ids
        return ids


Sampler = Callable[[Tensor, Sequence[int], bool], int]
"""(log-probabilities [ids], ids decoded so far, may the speech not end yet) -> id."""


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


def scripted(
    ids: IdSpace, fill_at: Collection[int], eos_at: float, draw: Mapping[int, int] | None = None
) -> Sampler:
    """The most probable id, but stop ids at set places, counted in ids decoded so far (fill tokens included).

    fill_at: the places of a fill token. eos_at: from there on the end of speech, where it is not masked.
    draw: other ids by their places. Then only speech tokens are drawn beside what the script says, and of
    that nothing that cannot be drawn.
    The golden vectors' `fill_at_len_out_tokens` and `eos_at_len_out_tokens`, or their `script`.
    """

    def sample(log_probabilities: Tensor, decoded: Sequence[int], eos_masked: bool) -> int:
        place = len(decoded)
        if place in fill_at:
            return ids.fill
        if draw and place in draw and bool(log_probabilities[draw[place]].isfinite()):
            return draw[place]
        if place >= eos_at and not eos_masked:
            return ids.eos
        speech = log_probabilities if draw is None else log_probabilities[: ids.speech_size]
        return greedy(speech, decoded, eos_masked)

    return sample


def spelled(space: IdSpace, context: Sequence[int]) -> list[str]:
    """The ids as f_llm's meta spells them: SOS, TASK, T<id> for text, S<id> for speech."""
    names = {space.sos: "SOS", space.task: "TASK"}
    return [
        names.get(i) or (f"T{i - space.text_begin}" if i >= space.text_begin else f"S{i}")
        for i in context
    ]


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
    *,
    opening: int = 0,
    quirks: Quirks = REFERENCE,
) -> Decoding:
    """All of the text first. Any special id that is sampled ends the speech."""
    limits = LmLimits(
        min_token_text_ratio, max_token_text_ratio, decoder.config.max_position_embeddings
    )
    prompt = _prompt(prompt_text, prompt_speech_token, opening)
    plan = Unistream(decoder.config, prompt, limits)
    ids = decoder.ids
    ends = range(ids.speech_size, ids.head_size)
    return _decode(decoder, plan, iter([_numbers(text)]), sampler, quirks, ends)


@torch.inference_mode()
def inference_bistream(
    decoder: LmDecoder,
    pieces: Iterable[Tensor],
    prompt_text: Tensor,
    prompt_speech_token: Tensor,
    sampler: Sampler = greedy,
    quirks: Quirks = REFERENCE,
    *,
    opening: int = 0,
    found: Decoding | None = None,
) -> Decoding:
    """Text and speech in turn. The pieces are taken one by one, each when the reference would take it.

    found: filled while decoding, so that it holds what was spoken before an error.
    Raises ValueError if the sampler returns a special id that is not due.
    """
    limits = LmLimits(0.0, float("inf"), decoder.config.max_position_embeddings)
    prompt = _prompt(prompt_text, prompt_speech_token, opening)
    plan = QuirkyBistream(decoder.config, prompt, limits, quirks)
    return _decode(decoder, plan, map(_numbers, pieces), sampler, quirks, found=found)


def _decode(
    decoder: LmDecoder,
    plan: Composition,
    pieces: Iterator[list[int]],
    sampler: Sampler,
    quirks: Quirks,
    ends: Collection[int] = (),
    found: Decoding | None = None,
) -> Decoding:
    """ends: ids that are taken for the stop id that is due."""
    found = found or Decoding()
    cache = decoder.new_cache()
    pulled = 0
    forced = False
    while not plan.done:
        lm_input = plan.next_input()
        if lm_input is None:
            pulled += _pull(pieces, plan)
            continue
        tokens: list[int] = []
        ids: Sequence[int] = lm_input.ids
        while True:
            hidden = decoder.forward([Span(0, len(found.context), ids)], cache)
            found.context.extend(ids)
            # The reference reads a forced group's last token in a step of its own.
            found.logits.extend(decoder.logits(hidden[[0, -1]] if forced else hidden[-1:]))
            forced = False
            scores = _scores(found.logits[-1], decoder.ids, lm_input, len(tokens), quirks)
            open_ended = not lm_input.final or len(tokens) < lm_input.min_tokens
            token = sampler(scores, [*plan.decoded, *tokens], open_ended)
            if token >= decoder.ids.speech_size:
                token = _stop(token, lm_input, ends)
            tokens.append(token)
            if token in lm_input.stop_ids:
                break
            found.tokens.append(token)
            found.pieces_pulled.append(pulled)
            if len(tokens) == lm_input.max_tokens:
                forced = not lm_input.final
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


def _scores(logits: Tensor, ids: IdSpace, lm_input: LmInput, drawn: int, quirks: Quirks) -> Tensor:
    """Log-probabilities, -inf for what cannot be drawn as the input's next token after `drawn` ones."""
    scores = logits.log_softmax(-1)
    held = drawn < lm_input.min_tokens
    if quirks.masks_one:
        if held or not lm_input.final:
            scores[ids.speech_size] = float("-inf")
        return scores
    banned = (*lm_input.banned_ids, *(lm_input.stop_ids if held else ()))
    scores[list(banned)] = float("-inf")
    return scores


def _stop(token: int, lm_input: LmInput, ends: Collection[int]) -> int:
    """The stop id that the input ends with. Raises ValueError if this one does not end it."""
    if token in lm_input.stop_ids:
        return token
    if token in ends:
        return lm_input.stop_ids[0]
    raise ValueError(f"stop id {token} was sampled, where only {lm_input.stop_ids[0]} may be")


def _prompt(text: Tensor, speech: Tensor, opening: int) -> LmPrompt:
    ids = tuple(_numbers(text))
    return LmPrompt(ids[opening:], tuple(_numbers(speech)), opening_ids=ids[:opening])


def _numbers(ids: Tensor) -> list[int]:
    numbers: list[int] = ids.flatten().tolist()
    return numbers
