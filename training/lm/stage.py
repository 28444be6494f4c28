"""Stage `lm`: trains the speech LM, and measures whether it reads: by its losses and by what it speaks."""

from __future__ import annotations

import asyncio
import copy
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder
from cosyserve.engine.cosyvoice.lm.ids import IdSpace
from cosyserve.engine.cosyvoice.lm.interface import LmPrompt, SamplingOptions
from cosyserve.engine.cosyvoice.lm.qwen2 import Qwen2Lm
from cosyserve.engine.cosyvoice.lm.torch_backend import TorchSpeechLM
from cosyserve.engine.cosyvoice.scheduling.device import DeviceThread
from cosyserve.engine.cosyvoice.text import TextProcessor, TextTokenizer, load_normalizer

from ..corpus import stage as data
from ..corpus.shards import Batches, Corpus, Recording
from ..recipe import Recipe
from ..schedule import train
from ..tokenizer.stage import PhonemeReader, SpokenCodes
from ..weights import half_rounded, save_tensors
from ..work import WorkFolder
from .network import (
    LmNetwork,
    guide_loss,
    masked,
    phoneme_loss,
    speech_loss,
)
from .sequences import NOWHERE, AlignedText, LmBatch, Row, batch_of, bistream, unistream
from .text import FOLDER, learn, placed

STAGE: Final = "lm"
WEIGHTS: Final = "llm.safetensors"
_JOINED: Final = 0.4
"""The share of batches in which another recording of the same voice follows each, as a text its prompt."""
_LONGEST_JOINED: Final = 220
"""Codes."""
_PHONEMES: Final = 0.5
_GUIDE: Final = 0.5
"""Weights of the losses."""
_COMPARED: Final = 24
"""Held-out recordings in each measurement."""
_PROMPT_TOKENS: Final = (50, 150)
"""Length of the recording that serves as a prompt, in codes."""


def hidden_share(done: float) -> float:
    """How many of the codes are hidden from the model that far into its training.

    Many at first, so that it must read; few early enough that it learns how speech ends.
    """
    if done < 0.35:
        return 0.5
    return 0.3 if done < 0.6 else 0.1


def run(work: WorkFolder, recipe: Recipe) -> dict[str, Any]:
    """Raises StageMissing, FloatingPointError."""
    corpus = Corpus(work.need(data.STAGE))
    work.need("tokenizer")
    folder, reader = work.folder(STAGE), PhonemeReader(work, recipe)
    texts = [recording.text for recording in corpus.training if recording.original]
    tokenizer = learn(texts, recipe.text_vocabulary, folder / FOLDER)
    assert tokenizer.size <= recipe.model.lm.vocab_size
    sequences = Sequences(corpus, SpokenCodes(work), tokenizer, recipe)
    torch.manual_seed(recipe.lm.seed)
    network = LmNetwork(recipe.model.lm, len(reader.alphabet.phonemes))
    space = IdSpace.of(recipe.model.lm)

    def losses(step: int, choice: random.Random) -> dict[str, Tensor]:
        batch = sequences.draw(recipe.lm.batch, choice)
        output = network(masked(batch, hidden_share(recipe.lm.done(step)), space))
        speech, phonemes, guide = (
            measure(output, batch) for measure in (speech_loss, phoneme_loss, guide_loss)
        )
        return {
            "loss": speech + _PHONEMES * phonemes + _GUIDE * guide,
            "speech": speech,
            "phonemes": phonemes,
            "guide": guide,
        }

    def measure() -> dict[str, float]:
        return sequences.measured(network)

    train(folder, network, recipe.lm, losses, work.log(STAGE), measure)
    half_rounded(network)
    save_tensors(folder / WEIGHTS, network.lm.state_dict())
    letters = sum(map(len, texts)) / sum(len(tokenizer.encode(text)) for text in texts)
    return {
        "characters_per_token": letters,
        **sequences.measured(network),
        **_spoken_errors(network.lm, sequences, reader, recipe),
    }


def tokenizer_of(work: WorkFolder) -> TextTokenizer:
    """The text tokenizer that this stage made."""
    return TextTokenizer.load(work.need(STAGE) / FOLDER)


class Sequences:
    """Makes training sequences of the corpus."""

    def __init__(
        self, corpus: Corpus, codes: SpokenCodes, tokenizer: TextTokenizer, recipe: Recipe
    ) -> None:
        self.corpus = corpus
        self._codes = codes
        self._tokenizer = tokenizer
        self._config = recipe.model.lm
        self._space = IdSpace.of(recipe.model.lm)
        self._batches = Batches(corpus.training)
        self._text = TextProcessor(tokenizer, load_normalizer())
        self._known: dict[int, AlignedText] = {}

    def spoken(self, recording: Recording) -> AlignedText:
        found = self._known.get(recording.number)
        if found is None:
            found = self._known[recording.number] = self._make(recording)
        return found

    def _make(self, recording: Recording) -> AlignedText:
        ids, spans = placed(self._tokenizer, recording.text)
        served = self._text.prompt(recording.text)
        codes = self._codes.codes(recording).tolist()
        phonemes, characters = self._codes.phonemes(recording), self._codes.characters(recording)
        known = characters is not None and tuple(ids) == served
        if not known:  # or the product writes the text in another way before it reads it
            spans, characters = [NOWHERE] * len(served), torch.full((len(codes),), math.nan)
        assert characters is not None
        return AlignedText(
            served,
            tuple(spans),
            tuple(codes),
            tuple(characters.tolist()),
            tuple([0] * len(codes) if phonemes is None else phonemes.tolist()),
            len(recording.text),
        )

    def draw(self, count: int, choice: random.Random) -> LmBatch:
        """Half of the rows in each order, as far as their speech suffices.

        Pairs have batches of their own, half as large: beside single recordings, most would be padding.
        """
        rows = []
        joined = choice.random() < _JOINED
        drawn = self._batches.draw(max(2, count // 2) if joined else count, choice)
        for index, recording in enumerate(drawn):
            spoken = self.spoken(recording)
            if joined:
                other = choice.choice(self.corpus.by_voice[recording.voice])
                if recording.tokens + other.tokens <= _LONGEST_JOINED:
                    pause = self._codes.pause(choice).tolist()
                    spoken = spoken.followed(pause, self.spoken(other))
            rows.append(self._row(spoken, in_groups=index % 2 == 1))
        return batch_of(rows)

    def _row(self, spoken: AlignedText, *, in_groups: bool) -> Row:
        row = bistream(spoken, self._space, self._config) if in_groups else None
        return row or unistream(spoken, self._space)

    @cached_property
    def _compared(self) -> list[tuple[AlignedText, AlignedText]]:
        """Held-out speech, and the same speech after another recording's text."""
        chosen = [self.spoken(u) for u in self.corpus.held_out if u.original][:_COMPARED]
        return [(one, one.with_text_of(chosen[i - 1])) for i, one in enumerate(chosen)]

    @torch.no_grad()
    def measured(self, network: LmNetwork) -> dict[str, float]:
        """Nats per code of held-out speech in each order, and how many more after another text."""
        found = {}
        for name, in_groups in (("unistream", False), ("bistream", True)):
            right = batch_of([self._row(pair[0], in_groups=in_groups) for pair in self._compared])
            found[name] = float(speech_loss(network(right.ids), right))
        other = batch_of([self._row(pair[1], in_groups=False) for pair in self._compared])
        found["text_gain"] = float(speech_loss(network(other.ids), other)) - found["unistream"]
        return found


@dataclass(frozen=True, slots=True)
class SpokenSentence:
    """What the LM spoke to a held-out recording's text."""

    recording: Recording
    codes: Tensor


def prompt_of(corpus: Corpus) -> Recording:
    """A held-out recording of the first voice, or of any, that is long enough for a prompt."""
    low, high = _PROMPT_TOKENS
    fitting = [u for u in corpus.held_out if u.original and low <= u.tokens <= high]
    return min(
        fitting or corpus.held_out or corpus.recordings,
        key=lambda u: (u.voice != corpus.recordings[0].voice, u.number),
    )


async def speak(
    model: Qwen2Lm, sequences: Sequences, recordings: Sequence[Recording]
) -> list[SpokenSentence]:
    """The recordings' texts, spoken by the product's decoder after the prompt, as they come in (bistream)."""
    prompt = sequences.spoken(prompt_of(sequences.corpus))
    thread = DeviceThread()
    lm = TorchSpeechLM(lambda: LmDecoder(copy.deepcopy(model)), thread)
    made = []
    try:
        await lm.start()
        for recording in recordings:
            stream = lm.open(LmPrompt(prompt.text_ids, prompt.codes), SamplingOptions(seed=1))
            await stream.feed(sequences.spoken(recording).text_ids)
            await stream.finish()
            codes = [code async for some in stream for code in some]
            made.append(SpokenSentence(recording, torch.tensor(codes, dtype=torch.long)))
    finally:
        await lm.stop()
        await thread.close()
    return made


def _spoken_errors(
    model: Qwen2Lm, sequences: Sequences, reader: PhonemeReader, recipe: Recipe
) -> dict[str, float]:
    corpus = sequences.corpus
    prompt = prompt_of(corpus)
    chosen = [u for u in corpus.held_out if u.original and u is not prompt][: recipe.spoken]
    wrong = due = 0
    for sentence in asyncio.run(speak(model, sequences, chosen)):
        errors, phonemes = reader.errors(sentence.codes, sentence.recording.phonemes)
        wrong, due = wrong + errors, due + phonemes
    return {"phoneme_error_rate": wrong / max(1, due)}
