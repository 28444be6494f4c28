"""Both logits processors, as vLLM's model runners call them."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from cosyserve.engine.cosyvoice.lm.bistream import LmInput
from cosyserve.engine.cosyvoice.lm.interface import SamplingOptions
from cosyserve.engine.cosyvoice.lm.sampling import draw_tokens
from cosyserve.engine.cosyvoice.lm.vllm.drawing import KEY, InputDrawing, InputDraws
from support.engines import vllm

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

IDS = 50
CHUNK = LmInput((1, 2), 15, 0, (49,), (47, 48), final=False)


def parameters(seed: int, **options: Any) -> Any:
    vllm.required()
    from cosyserve.engine.cosyvoice.lm.vllm.drawing import sampling_parameters

    how = SamplingOptions(**options)
    drawing = InputDrawing.of_input(CHUNK, how, [1, 2, 3], ids=IDS, seed=seed, drawn=seed)
    return sampling_parameters(drawing)


def wanted(logits: torch.Tensor, rows: dict[int, tuple[Any, list[int]]]) -> dict[int, int]:
    found = {}
    for row, (how, tokens) in rows.items():
        draw = InputDraws(InputDrawing.read(how.extra_args)).next(tokens)
        found[row] = int(draw_tokens(logits[row : row + 1], [draw])[0])
    return found


def first() -> Any:
    vllm.required()
    from cosyserve.engine.cosyvoice.lm.vllm.sampler_v1 import SpeechSamplerV1

    return SpeechSamplerV1(None, torch.device("cpu"), False)


def check(sampler: Any, rows: dict[int, tuple[Any, list[int]]], seed: int) -> None:
    """Rows of ours get one id each, the others stay as they are."""
    torch.manual_seed(seed)
    logits = torch.randn(8, IDS) * 3
    logits[:, :4] += 3
    due, before = wanted(logits, rows), logits.clone()
    found = sampler.apply(logits)
    for row in range(8):
        if row in due:
            assert found[row].isfinite().nonzero().flatten().tolist() == [due[row]]
        else:
            assert torch.equal(found[row], before[row])


def test_the_first_runner_moves_rows_about() -> None:
    sampler = first()
    from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality

    one, two, three = parameters(1), parameters(2, greedy=True), parameters(3, win=2, tau=0.5)
    tokens: list[list[int]] = [[], [5], [1, 2]]
    added = [(0, one, [7], tokens[0]), (1, two, None, tokens[1]), (4, three, [1], tokens[2])]
    sampler.update_state(BatchUpdate(5, [], added, []))
    check(sampler, {0: (one, tokens[0]), 1: (two, tokens[1]), 4: (three, tokens[2])}, 1)
    tokens[0] += [1, 2]  # vLLM appends to the lists that it gave
    sampler.update_state(None)
    check(sampler, {0: (one, tokens[0]), 1: (two, tokens[1]), 4: (three, tokens[2])}, 2)
    swap, move = MoveDirectionality.SWAP, MoveDirectionality.UNIDIRECTIONAL
    sampler.update_state(BatchUpdate(5, [1], [], [(4, 1, move), (0, 1, swap), (0, 3, swap)]))
    check(sampler, {1: (one, tokens[0]), 3: (three, tokens[2])}, 3)
    other = SimpleNamespace(extra_args=None)
    sampler.update_state(BatchUpdate(5, [], [(1, other, [1], [])], []))
    check(sampler, {3: (three, tokens[2])}, 4)
    sampler.update_state(BatchUpdate(5, [3], [], []))
    check(sampler, {}, 5)


def test_the_first_runner_is_told_of_numbers_that_overflowed() -> None:
    sampler = first()
    from vllm.v1.sample.logits_processor import BatchUpdate

    sampler.update_state(
        BatchUpdate(2, [], [(0, parameters(1), [1], []), (1, parameters(2), [1], [])], [])
    )
    logits = torch.randn(2, IDS)
    logits[0, 5] = float("nan")
    found = sampler.apply(logits).argmax(-1).tolist()
    assert found[0] == 47
    assert found[1] < 47 or found[1] == 49


def test_the_second_runner_draws_what_the_first_does() -> None:
    vllm.required()
    pytest.importorskip("vllm.v1.worker.gpu.sample.logits_processor")
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState

    from cosyserve.engine.cosyvoice.lm.vllm.sampler_v2 import SpeechSamplerV2

    source = random.Random(4)
    all_tokens = torch.zeros(8, 100, dtype=torch.int32)
    prompts = np.zeros(8, dtype=np.int32)
    states = LogitsProcRequestState(
        device=torch.device("cpu"),
        max_num_reqs=8,
        vocab_size=IDS,
        all_token_ids=SimpleNamespace(gpu=all_tokens),
        prompt_len=SimpleNamespace(np=prompts),
        prefill_len=SimpleNamespace(np=prompts),
        total_len=SimpleNamespace(gpu=None),
    )
    config = SimpleNamespace(model_config=SimpleNamespace(max_model_len=100))
    sampler = SpeechSamplerV2(config, states)
    slots = [6, 0, 3, 5]
    rows: dict[int, tuple[Any, list[int]]] = {}
    for row, slot in enumerate(slots):
        how = parameters(row + 1, greedy=row == 2, win=[10, 2, 10, 64][row])
        if row == 3:
            how = SimpleNamespace(extra_args={})
        tokens = source.choices(range(6), k=5 * row)
        prompts[slot] = 10 + row
        all_tokens[slot, 10 + row : 10 + row + len(tokens)] = torch.tensor(tokens)
        assert sampler.add_request(slot, how) == (row < 3)
        if row < 3:
            rows[row] = how, tokens
    sampler.apply_staged_writes()
    index = torch.tensor(slots, dtype=torch.int32)
    lengths = [int(prompts[slot]) + 5 * row for row, slot in enumerate(slots)]
    context = LogitsContext(
        expanded_idx_mapping=index,
        idx_mapping=index,
        idx_mapping_np=index.numpy(),
        expanded_local_pos=torch.zeros(4),
        input_ids=torch.zeros(4),
        pos=torch.tensor(lengths) - 1,
        seq_lens_upper_bound_np=np.array(lengths),
    )
    check(SimpleNamespace(apply=lambda logits: _padded(sampler, logits, context)), rows, 9)


def _padded(sampler: Any, logits: torch.Tensor, context: Any) -> torch.Tensor:
    found: torch.Tensor = sampler.apply(logits[:4].clone(), context)
    return torch.cat((found, logits[4:]))


def test_bad_parameters_are_refused_by_both() -> None:
    samplers = [type(first())]
    if pytest.importorskip("vllm.v1.worker.gpu.sample.logits_processor"):
        from cosyserve.engine.cosyvoice.lm.vllm.sampler_v2 import SpeechSamplerV2

        samplers.append(SpeechSamplerV2)
    for sampler in samplers:
        sampler.validate_params(parameters(1))
        bad = parameters(1)
        bad.extra_args = {KEY: {**bad.extra_args[KEY], "win": 1000}}
        with pytest.raises(ValueError, match="win"):
            sampler.validate_params(bad)
        with pytest.raises(ValueError, match="temperature"):
            sampler.validate_params(SimpleNamespace(**{**vars_of(bad), "temperature": 1.0}))


def vars_of(parameters: Any) -> dict[str, Any]:
    return {name: getattr(parameters, name) for name in parameters.__struct_fields__}


def test_an_inputs_parameters_in_vllms_words() -> None:
    plain = parameters(1)
    assert plain.temperature == 0.0
    assert plain.stop_token_ids == [49]
    assert plain.all_stop_token_ids == {49}
