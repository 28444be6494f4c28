"""The speech LM of CosyVoice 3: the reference's golden vectors, and its faults, which ours has not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cosyserve.benchmarks.parity.golden import GoldenFile
from cosyserve.benchmarks.parity.lm3 import MENDED, bistream, check_cosyvoice3, forward, unistream
from cosyserve.benchmarks.parity.reference.lm import CLEAN, REFERENCE, spelled
from cosyserve.benchmarks.parity.report import Status
from cosyserve.engine.cosyvoice.checkpoint import load_llm
from cosyserve.engine.cosyvoice.config import CosyVoice3LmConfig
from cosyserve.engine.cosyvoice.lm.bistream import Bistream, LmLimits, Unistream
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder
from cosyserve.engine.cosyvoice.lm.ids import IdSpace
from cosyserve.engine.cosyvoice.lm.interface import LmPrompt, SamplingOptions
from support.engines import goldens3
from support.engines.tiny_lm import running, say, text

META = goldens3.GOLDENS.meta("f_llm")
TENSORS = goldens3.GOLDENS.arrays("f_llm")
END_OF_PROMPT = goldens3.GOLDENS.raw_config()["llm_ids"]["endofprompt"]
OPENING = (4, 8, 15, END_OF_PROMPT)
HOW = SamplingOptions(seed=3, loop_seconds=0, max_ratio=5)


@pytest.fixture(scope="module")
def decoder() -> LmDecoder:
    return goldens3.decoder()


class Eager(LmDecoder):
    """Wants to say a special id at every step: the end of speech first of all."""

    def logits(self, hidden: Tensor) -> Tensor:
        logits = super().logits(hidden)
        logits[:, self.ids.speech_size :] += 100.0
        logits[:, self.ids.eos] += 100.0
        return logits


def eager() -> Eager:
    return Eager(load_llm(goldens3.checkpoint()))


def test_ids_of_the_published_model() -> None:
    ids = IdSpace.of(CosyVoice3LmConfig())
    assert (ids.sos, ids.eos, ids.task, ids.fill) == (6561, 6562, 6563, 6564)
    assert (ids.head_size, ids.text_begin, ids.size) == (6761, 6761, 6761 + 151936)
    assert ids.never(ids.eos) == (6561, *range(6563, 6761))


def test_every_golden_array(decoder: LmDecoder) -> None:
    file = GoldenFile(goldens3.GOLDENS, "f_llm")
    check_cosyvoice3(file, decoder, END_OF_PROMPT)
    file.finish()
    assert [row for row in file.rows if row.status is not Status.OK] == []
    assert {row.array for row in file.rows} >= set(TENSORS)


def test_hidden_states_and_logits(decoder: LmDecoder) -> None:
    hidden, logits = forward(decoder, META["forward"])
    torch.testing.assert_close(hidden, TENSORS["hidden"], atol=1e-4, rtol=0.0)
    torch.testing.assert_close(logits, TENSORS["logits"], atol=2e-4, rtol=0.0)


async def test_speech_does_not_end_before_its_least_length() -> None:
    """In the reference the end of speech is never masked."""
    case = META["uni"]["uni_eos_before_min_len"]
    quirky = unistream(goldens3.decoder(), case, END_OF_PROMPT, REFERENCE)
    assert len(quirky.tokens) < case["min_len"]
    async with running(eager()) as lm:
        prompt = LmPrompt(opening_ids=OPENING)
        how = SamplingOptions(seed=3, bistream=False)
        assert len(await say(lm, text(6), how, prompt)) == 12


@pytest.mark.parametrize("duplex", [True, False])
async def test_no_special_id_is_spoken(duplex: bool) -> None:
    """In the reference each of the 200 ends an utterance, or fails the one whose text is open."""
    how = SamplingOptions(seed=3, bistream=duplex)
    async with running(eager()) as lm:
        for speech in ((), (3, 5, 8)):
            prompt = LmPrompt((9, 9, 9), speech, opening_ids=OPENING)
            spoken = await say(lm, text(12), how, prompt)
            assert spoken
            assert max(spoken) < goldens3.GOLDENS.config().lm.speech_token_size


def test_no_end_of_speech_is_drawn_while_text_is_open(decoder: LmDecoder) -> None:
    """The reference raises in its LM's thread, and its caller waits for ever."""
    case = META["bi"]["bi_eos_while_text_is_open"]
    quirky = bistream(decoder, case, END_OF_PROMPT, REFERENCE)
    mended = bistream(decoder, case, END_OF_PROMPT, MENDED)
    assert len(quirky.tokens) == 6
    assert len(mended.tokens) > len(quirky.tokens)
    assert mended.tokens[: len(quirky.tokens)] == quirky.tokens


def test_nothing_is_spoken_before_there_is_text(decoder: LmDecoder) -> None:
    """The reference draws 15 tokens after the instruction alone."""
    case = META["bi"]["bi_noprompt_single_pieces"]
    quirky = bistream(decoder, case, END_OF_PROMPT, REFERENCE)
    clean = bistream(decoder, case, END_OF_PROMPT, CLEAN)
    assert quirky.pieces_pulled[0] == 1
    assert clean.pieces_pulled[0] == 5
    opening = len(case["prompt_text"]) + 1
    read = spelled(decoder.ids, clean.context)
    assert read[opening : opening + 5] == [f"T{piece[0]}" for piece in case["pieces"][:5]]


def test_the_opening_stands_before_all_else_and_is_not_counted() -> None:
    config = CosyVoice3LmConfig(vocab_size=100, speech_token_size=50)
    ids = IdSpace.of(config)
    prompt = LmPrompt((20, 21), (7,), opening_ids=(1, 2))
    whole = Unistream(config, prompt, LmLimits())
    whole.feed([30, 31])
    whole.finish()
    lm_input = whole.next_input()
    assert lm_input is not None
    assert lm_input.ids == (ids.sos, *ids.text([1, 2, 20, 21, 30, 31]), ids.task, 7)
    assert (lm_input.min_tokens, lm_input.max_tokens) == (4, 40)
    mixed = Bistream(config, prompt, LmLimits())
    mixed.feed([30, 31, 32])
    lm_input = mixed.next_input()
    assert lm_input is not None
    assert lm_input.ids == (ids.sos, *ids.text([1, 2, 20, 21, 30, 31, 32]), 7)
    assert lm_input.max_tokens == 14
    assert lm_input.banned_ids == ids.never(ids.fill)


async def test_how_the_text_comes_changes_nothing() -> None:
    prompt = LmPrompt((20, 21), tuple(range(20)), opening_ids=OPENING)
    async with running(goldens3.decoder()) as lm:
        whole = await say(lm, text(13), HOW, prompt)
        stream = lm.open(prompt, HOW)
        for number in text(13):
            await stream.feed([number])
        await stream.finish()
        assert [token async for tokens in stream for token in tokens] == whole
