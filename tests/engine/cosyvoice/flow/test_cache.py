"""Where keys and values lie: slabs that are filled from the front, and let go when nobody sees them."""

import torch

from cosyserve.engine.cosyvoice.flow.cache import (
    AttentionCache,
    CachedStep,
    CacheShape,
    Slab,
    Workspace,
)

SHAPE = CacheShape(layers=1, batch=1, heads=2, head_dim=4)


def take(frames: int) -> Slab:
    return Slab(torch.empty(SHAPE.size(frames)))


def cache(window: int | None = None, room: int = 0) -> AttentionCache:
    return AttentionCache(take, window=window, room=room)


def add(to: AttentionCache, frames: int, value: float = 0.0) -> None:
    (page,) = to.claim(frames)
    page.memory.fill_(value)
    to.append([page])


def seen(of: AttentionCache) -> list[float]:
    """The value of each frame that a pass sees, told by the first key of the first head."""
    return [float(x) for part in of.visible() for x in part[0, 0, 0, 0, :, 0]]


def test_room_is_taken_once_and_filled_from_the_front() -> None:
    made = cache(room=100)
    add(made, 30, 1.0)
    taken, memory = made.nbytes, made.memories[0].data_ptr()
    add(made, 70, 2.0)
    assert made.nbytes == taken == 100 * SHAPE.elements * 4
    assert [part.data_ptr() for part in made.visible()] == [memory]
    assert seen(made) == [1.0] * 30 + [2.0] * 70


def test_beyond_its_room_it_takes_less_at_once() -> None:
    made = cache(room=100)
    for value in range(6):
        add(made, 20, value)
    assert [memory.shape[-2] for memory in made.memories] == [100, 25]
    assert seen(made) == [value for value in range(6) for _ in range(20)]


def test_a_step_that_needs_more_than_the_room_gets_it() -> None:
    made = cache(room=10)
    add(made, 30)
    assert [memory.shape[-2] for memory in made.memories] == [30]


def test_a_claim_that_is_abandoned_leaves_nothing_behind() -> None:
    made = cache(room=100)
    add(made, 10, 1.0)
    made.claim(10)[0].memory.fill_(9.0)
    assert seen(made) == [1.0] * 10
    add(made, 10, 2.0)
    assert seen(made) == [1.0] * 10 + [2.0] * 10


def test_copies_share_what_is_there_and_write_to_different_places() -> None:
    one = cache(room=100)
    add(one, 10, 1.0)
    other = one.copy(window=None, room=100)
    # Both claim before either is appended, as in one batch.
    pages = [made.claim(10)[0] for made in (one, other)]
    for made, page, value in zip((one, other), pages, (2.0, 3.0), strict=True):
        page.memory.fill_(value)
        made.append([page])
    assert seen(one) == [1.0] * 10 + [2.0] * 10
    assert seen(other) == [1.0] * 10 + [3.0] * 10


def test_sealed_frames_are_the_prompt_and_take_no_more_than_they_need() -> None:
    made = cache(room=100)
    add(made, 30, 1.0)
    made.seal()
    assert made.nbytes == 0
    assert [part.shape[-2] for part in made.prompt] == [30]
    assert made.prompt[0].untyped_storage().nbytes() == 30 * SHAPE.elements * 4
    add(made, 10, 2.0)
    assert seen(made) == [1.0] * 30 + [2.0] * 10


def test_a_window_that_comes_late_gives_the_rest_back() -> None:
    made = cache(room=100)
    for value in range(10):
        add(made, 10, value)
    narrowed = made.copy(window=25, room=0)
    assert seen(narrowed) == [7.0] * 5 + [8.0] * 10 + [9.0] * 10
    add(narrowed, 10, 10.0)
    assert seen(narrowed) == [8.0] * 5 + [9.0] * 10 + [10.0] * 10
    assert narrowed.nbytes == 25 * SHAPE.elements * 4
    add(narrowed, 10, 11.0)
    assert seen(narrowed) == [9.0] * 5 + [10.0] * 10 + [11.0] * 10
    assert seen(made) == [value for value in range(10) for _ in range(10)]


def test_a_window_of_many_pages_that_comes_late() -> None:
    made = cache()
    for value in range(10):
        add(made, 10, value)
    assert seen(made.copy(window=25, room=0)) == [7.0] * 5 + [8.0] * 10 + [9.0] * 10
    assert seen(made.copy(window=0, room=0)) == []


def test_a_pass_reads_old_and_new_frames_of_a_slab_as_one() -> None:
    made = cache(room=100)
    add(made, 10, 1.0)
    (page,) = made.claim(5)
    step = CachedStep(made, page, Workspace(), 5)
    keys, values = step.extend(0, torch.full((2, 1, 2, 5, 4), 2.0))
    assert keys.data_ptr() == page.slab.memory.data_ptr()
    assert keys[0, 0, :, 0].tolist() == [1.0] * 10 + [2.0] * 5
    assert torch.equal(keys, values)
