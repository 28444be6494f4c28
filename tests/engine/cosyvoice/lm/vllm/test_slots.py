"""The device's tables draw what the lists of the host draw."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from cosyserve.engine.cosyvoice.lm.sampling import draw_tokens
from cosyserve.engine.cosyvoice.lm.vllm.drawing import InputDrawing, InputDraws
from cosyserve.engine.cosyvoice.lm.vllm.sampler_v2 import SlotDraws

IDS, SLOTS, LONGEST = 50, 12, 64
PLAIN = InputDrawing(IDS, 40, 0, (47, 48), (49,), False, 0.8, 25, 10, 0.1, (), 1, 0)


def some(source: random.Random) -> InputDrawing:
    win = source.choice([0, 1, 10, 25, 256])
    return InputDrawing(
        ids=IDS,
        max_tokens=source.randint(1, LONGEST),
        min_tokens=source.choice([0, 3, 20]),
        banned=tuple(source.sample(range(40, 49), source.randint(0, 2))),
        held=(49,),
        greedy=source.random() < 0.3,
        top_p=source.uniform(0.3, 1.0),
        top_k=source.randint(1, 30),
        win=win,
        tau=source.choice([0.05, 0.1, 0.3]),
        history=tuple(source.choices(range(8), k=source.randint(0, win))),
        seed=source.getrandbits(60),
        drawn=source.randint(0, 300),
    )


@pytest.mark.parametrize("seed", range(12))
def test_rows_draw_as_lists_do(seed: int) -> None:
    source = random.Random(seed)
    torch.manual_seed(seed)
    slots = SlotDraws(SLOTS, LONGEST, torch.device("cpu"))
    tokens = torch.full((SLOTS, 300), -7, dtype=torch.int32)
    order = source.sample(range(SLOTS), 7)
    draws, lengths = [], []
    for slot in order:
        slots.set(slot, replace(PLAIN, seed=99), 3)  # an occupant before
    slots.flush()
    for slot in order:
        drawing, prompt = some(source), source.randint(1, 100)
        said = source.choices(range(8), k=source.randrange(drawing.max_tokens))
        slots.set(slot, drawing, prompt)
        tokens[slot, :prompt] = torch.randint(IDS, (prompt,), dtype=torch.int32)
        tokens[slot, prompt : prompt + len(said)] = torch.tensor(said, dtype=torch.int32)
        lengths.append(prompt + len(said))
        draws.append(InputDraws(drawing).next(said))
    slots.flush()
    logits = torch.randn(7, IDS) * 2
    logits[:, :8] += 3  # those of the histories
    wanted = draw_tokens(logits, draws).tolist()
    slots.apply(logits, torch.tensor(order, dtype=torch.int32), torch.tensor(lengths), tokens)
    assert logits.argmax(-1).tolist() == wanted
    assert logits.isfinite().sum(-1).tolist() == [1] * 7
    assert len(set(wanted)) > 1


def test_rows_of_others_stay_as_they_are() -> None:
    slots = SlotDraws(4, LONGEST, torch.device("cpu"))
    slots.set(0, PLAIN, 1)
    slots.set(2, PLAIN, 1)
    slots.flush()
    slots.set(2, None, 1)
    slots.flush()
    assert [slots.used(slot) for slot in range(4)] == [True, False, False, False]
    logits = torch.randn(3, IDS)
    before = logits.clone()
    tokens = torch.zeros(4, 10, dtype=torch.int32)
    slots.apply(logits, torch.tensor([2, 0, 1]), torch.tensor([1, 1, 1]), tokens)
    assert torch.equal(logits[[0, 2]], before[[0, 2]])
    assert int(logits[1].isfinite().sum()) == 1


def test_a_step_that_counts_for_nothing_is_harmless() -> None:
    """Of a prompt read in parts, or past an input's end."""
    slots = SlotDraws(1, LONGEST, torch.device("cpu"))
    slots.set(0, PLAIN, 9)
    slots.flush()
    tokens = torch.zeros(1, 80, dtype=torch.int32)
    for length in (0, 4, 9 + 40, 9 + 60):
        logits = torch.randn(1, IDS)
        slots.apply(logits, torch.tensor([0]), torch.tensor([length]), tokens)
        assert int(logits.isfinite().sum()) == 1


def test_more_bans_than_there_is_room_for_are_refused() -> None:
    slots = SlotDraws(1, LONGEST, torch.device("cpu"))
    with pytest.raises(ValueError, match="banned"):
        slots.set(0, replace(PLAIN, ids=512, banned=tuple(range(257))), 1)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.parametrize("greedy", [True, False])
def test_numbers_that_overflowed_give_an_id_that_is_banned(broken: float, greedy: bool) -> None:
    slots = SlotDraws(2, LONGEST, torch.device("cpu"))
    for slot in (0, 1):
        slots.set(slot, replace(PLAIN, greedy=greedy), 1)
    slots.flush()
    logits = torch.randn(2, IDS)
    logits[1, 3] = broken
    slots.apply(logits, torch.tensor([0, 1]), torch.tensor([1, 1]), torch.zeros(2, 9).int())
    drawn = logits.argmax(-1).tolist()
    assert drawn[0] not in PLAIN.banned
    assert drawn[1] == PLAIN.banned[0]
