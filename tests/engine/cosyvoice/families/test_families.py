"""What the families do unlike each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosyserve.engine.cosyvoice.config import CosyVoice2Config, CosyVoice3Config
from cosyserve.engine.cosyvoice.families import COSYVOICE2, COSYVOICE3, Family, family_of
from cosyserve.engine.cosyvoice.families.family import Spoken
from cosyserve.engine.cosyvoice.lm import LmPrompt
from cosyserve.engine.cosyvoice.text import PlainNormalizer, TextProcessor, TextTokenizer
from support.engines import goldens3
from support.engines.tiny_tokenizer import write_tokenizer

ROLE = goldens3.text()["prefix"]
END = "<|endofprompt|>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return folder


def text(folder: Path, family: Family) -> TextProcessor:
    tokenizer = TextTokenizer.load(folder, family.special_tokens, family.sounds)
    return TextProcessor(tokenizer, PlainNormalizer())


def test_the_sizes_tell_the_family() -> None:
    assert family_of(CosyVoice2Config()) is COSYVOICE2
    assert family_of(CosyVoice3Config()) is COSYVOICE3


@pytest.mark.parametrize(
    ("spoken", "opening", "transcript", "speech"),
    [
        (Spoken((5, 6), (7,)), ROLE, (5, 6), (7,)),
        (Spoken((), (7,)), ROLE, (), ()),
        (Spoken(), ROLE, (), ()),
        (Spoken(instruction="请用广东话表达。"), f"{ROLE} 请用广东话表达。", (), ()),
        (Spoken(instruction=" slowly \n"), f"{ROLE} slowly", (), ()),
        (Spoken(instruction=f"{ROLE} slowly{END}"), f"{ROLE} slowly", (), ()),
        (Spoken(instruction=f"{ROLE}{END}"), ROLE, (), ()),
    ],
)
def test_prompts_of_cosyvoice_3_open_with_the_role(
    folder: Path, spoken: Spoken, opening: str, transcript: tuple[int, ...], speech: tuple[int, ...]
) -> None:
    """Also where the client writes the role itself, as the reference asks for."""
    processor = text(folder, COSYVOICE3)
    tokenizer = processor.tokenizer
    ids = (*tokenizer.encode(opening), tokenizer.special[END])
    wanted = LmPrompt(transcript, speech, opening_ids=ids)
    assert COSYVOICE3.lm_prompt(processor, spoken) == wanted


def test_a_prompt_keeps_its_tenant(folder: Path) -> None:
    for family in (COSYVOICE2, COSYVOICE3):
        for spoken in (Spoken((1,), (2,), tenant="a"), Spoken(instruction="x", tenant="a")):
            assert family.lm_prompt(text(folder, family), spoken).tenant == "a"


def test_prompts_of_cosyvoice_2_have_no_opening(folder: Path) -> None:
    processor = text(folder, COSYVOICE2)
    assert COSYVOICE2.lm_prompt(processor, Spoken()) == LmPrompt()
    assert COSYVOICE2.lm_prompt(processor, Spoken((5,), (7,))) == LmPrompt((5,), (7,))
    assert COSYVOICE2.lm_prompt(processor, Spoken((), (7,))) == LmPrompt()
    asked = COSYVOICE2.lm_prompt(processor, Spoken(instruction="hello"))
    assert asked == LmPrompt(processor.instruction("hello"))
