"""Memory comes back when nothing lies in it any more, and serves again."""

import threading

import pytest
import torch

from cosyserve.benchmarks.parity.reference.flow import speak
from cosyserve.engine.cosyvoice.flow import ContextPolicy, Flow
from cosyserve.engine.cosyvoice.flow import cache as pool_module
from cosyserve.engine.cosyvoice.flow.cache import MemoryPool
from support.engines.tiny_flow import difference, random_case, small_flow

MIB = 1 << 20
CPU = torch.device("cpu")


def test_what_is_let_go_serves_again() -> None:
    pool = MemoryPool()
    first = pool.empty((2, MIB), torch.uint8, CPU)
    place = first.data_ptr()
    assert pool.idle == 0
    del first
    assert pool.idle == 2 * MIB
    again = pool.empty((MIB, 2), torch.uint8, CPU)
    assert again.data_ptr() == place
    assert pool.idle == 0


def test_it_is_not_let_go_while_there_is_a_view_of_it() -> None:
    pool = MemoryPool()
    whole = pool.empty((2 * MIB,), torch.uint8, CPU)
    view = whole[5:9].view(2, 2)
    del whole
    assert pool.idle == 0
    assert pool.empty((2 * MIB,), torch.uint8, CPU).data_ptr() != view.data_ptr() - 5
    del view
    assert pool.idle == 4 * MIB


def test_types_and_sizes() -> None:
    pool = MemoryPool()
    made = pool.empty((3, 1 << 19), torch.bfloat16, CPU).fill_(1.5)
    assert (made.dtype, made.shape) == (torch.bfloat16, (3, 1 << 19))
    assert made.untyped_storage().nbytes() == 3 * MIB
    assert made.is_contiguous()
    assert bool((made == 1.5).all())


def test_the_smallest_that_fits_and_none_that_is_far_too_large() -> None:
    pool = MemoryPool()
    kept = [pool.empty((size,), torch.uint8, CPU) for size in (9 * MIB, 5 * MIB, 4 * MIB)]
    places = [piece.data_ptr() for piece in kept]
    kept.clear()
    assert pool.empty((4 * MIB - 3,), torch.uint8, CPU).data_ptr() == places[2]
    made = pool.empty((3 * MIB,), torch.uint8, CPU)
    assert made.data_ptr() not in places
    assert pool.idle == 18 * MIB


def test_small_pieces_are_not_kept() -> None:
    pool = MemoryPool()
    pool.empty((1000,), torch.float32, CPU)
    pool.empty((0,), torch.float32, CPU)
    assert pool.idle == 0


def test_shrinking_gives_back_whole_pieces() -> None:
    pool = MemoryPool()
    kept = [pool.empty((size * MIB,), torch.uint8, CPU) for size in (2, 3, 4)]
    assert pool.shrink(100) == 0
    while kept:
        kept.pop(0)
    assert pool.shrink(0) == 0
    assert pool.shrink(1) == 2 * MIB
    assert pool.shrink(99 * MIB) == 7 * MIB
    assert pool.idle == 0


def test_from_many_threads_nobody_gets_what_another_has() -> None:
    pool, wrong = MemoryPool(), []

    def work(mine: int) -> None:
        for _ in range(200):
            piece = pool.empty((MIB,), torch.uint8, CPU)
            piece[::4096] = mine
            if bool((piece[::4096] != mine).any()):
                wrong.append(mine)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    # Each holds the next piece before it lets go of the last.
    assert 0 < pool.idle <= 12 * MIB


@pytest.fixture
def flow(monkeypatch: pytest.MonkeyPatch) -> Flow:
    monkeypatch.setattr(pool_module, "_LEAST", 1)  # a tiny model's caches are small
    return small_flow()


@pytest.mark.parametrize("policy", [ContextPolicy(room=400), ContextPolicy(window=60)])
def test_an_utterance_in_used_memory_is_as_in_new(flow: Flow, policy: ContextPolicy) -> None:
    case = random_case(7, prompt=40, tokens=120)
    for _ in range(3):
        prompt = flow.prepare_prompt(*case.voice)
        states = [flow.start(prompt, policy) for _ in range(2)]
        mels = [torch.cat(speak(flow, s, case.token[0], [30, 45, 45]), dim=1) for s in states]
        assert difference(*mels) == 0
        if policy.keeps_all:
            assert difference(mels[0], case.whole(flow)) < 1e-4
        used = flow.pool.idle
    del states, prompt
    assert flow.pool.idle > used > 0
