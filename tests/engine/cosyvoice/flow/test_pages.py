"""Pages: who has them, when they are free again, and what a pass is told of them."""

import pytest
import torch

from cosyserve.engine.cosyvoice.flow.cache import AttentionCache, CacheShape
from cosyserve.engine.cosyvoice.flow.pages import (
    RESERVED,
    HostTable,
    PagedStep,
    PagePool,
    PageTable,
)

SHAPE = CacheShape(layers=2, batch=2, heads=3, head_dim=4)
CHUNK = 5
ROWS = SHAPE.batch * SHAPE.heads


def pool(pages: int = 12) -> PagePool:
    made = PagePool(SHAPE, pages, CHUNK, torch.float32, torch.device("cpu"))
    made.memory[:, :, ROWS:] = torch.nan
    return made


def add(cache: AttentionCache, chunks: int) -> list[int]:
    pages = cache.claim(chunks * CHUNK)
    cache.append(pages)
    return [page.slab.number for page in pages]


def test_a_page_is_free_again_when_nobody_holds_it() -> None:
    pages = pool()
    cache = pages.new_cache()
    add(cache, 3)
    copy = cache.copy(window=None, room=0)
    assert pages.free == 12 - RESERVED - 3
    add(copy, 1)
    del cache
    assert pages.free == 12 - RESERVED - 4
    del copy
    assert pages.free == 12 - RESERVED


def test_a_claim_that_cannot_be_met_takes_nothing() -> None:
    pages = pool(RESERVED + 2)
    cache = pages.new_cache()
    with pytest.raises(torch.OutOfMemoryError):
        cache.claim(3 * CHUNK)
    assert pages.free == 2
    add(cache, 2)


def test_a_window_lets_pages_go() -> None:
    pages = pool()
    cache = pages.new_cache().copy(window=CHUNK + 1, room=0)
    numbers = [add(cache, 1)[0] for _ in range(4)]
    assert [page.slab.number for page in cache.pages] == numbers[2:]
    assert cache.unseen == CHUNK - 1
    assert pages.free == 12 - RESERVED - 2


def test_rows_are_aligned_at_their_ends() -> None:
    pages = pool()
    long, short = pages.new_cache(), pages.new_cache().copy(window=CHUNK + 2, room=0)
    first = add(long, 3)
    second = add(short, 2)
    new = [cache.claim(CHUNK) for cache in (long, short)]
    table = HostTable.of(pages, [long, short], new)
    numbers = [[page.slab.number for page in each] for each in new]
    assert (table.places // ROWS).tolist() == [first + numbers[0], [0, *second] + numbers[1]]
    assert table.hidden.tolist() == [[0, 0, 0], [CHUNK, CHUNK - 2, 0]]
    assert (table.kept, table.all_seen) == (1, False)


def test_a_step_sees_what_is_there_and_nothing_else() -> None:
    """Memory that nobody wrote holds no numbers, and would be found in the result."""
    pages = pool()
    caches = [pages.new_cache() for _ in range(2)]
    for cache, chunks in zip(caches, (2, 1), strict=True):
        for page in cache.claim(chunks * CHUNK):
            page.memory.normal_()
            cache.append([page])
    new = [cache.claim(2 * CHUNK) for cache in caches]
    host = HostTable.of(pages, caches, new)
    table = PageTable(torch.from_numpy(host.places), torch.from_numpy(host.hidden), host.kept)
    step = PagedStep(pages, table, 2 * CHUNK, torch.float32)
    query, *own = torch.randn(3, 4, SHAPE.heads, 2 * CHUNK, SHAPE.head_dim)
    found = step.attend(1, query, torch.stack(own))
    for session, (cache, kept) in enumerate(zip(caches, new, strict=True)):
        rows = slice(2 * session, 2 * session + 2)
        past = [part[1] for part in cache.visible()]
        assert torch.equal(
            torch.cat([page.memory[1] for page in kept], dim=-2), torch.stack(own)[:, rows]
        )
        for chunk in (0, 1):
            end = (chunk + 1) * CHUNK
            keys, values = torch.cat([*past, torch.stack(own)[:, rows, :, :end]], dim=-2)
            asked = query[rows, :, chunk * CHUNK : end]
            known = torch.nn.functional.scaled_dot_product_attention(asked, keys, values)
            torch.testing.assert_close(found[rows, :, chunk * CHUNK : end], known)
