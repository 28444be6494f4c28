"""Holds an engine's sessions to engine.interface.Session, at the one place where the server calls them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np

from cosyserve.engine.interface import EngineError, PcmChunk
from cosyserve.protocol.errors import TTSError

from ..errors import ContractBroken, goes_on

LETS_GO: Final = 10.0
"""Seconds that an engine has to free a session; then who waits for that goes on without it."""


@contextmanager
def calling(step: str) -> Iterator[None]:
    """Around a call into the engine: an exception that no engine may raise becomes a ContractBroken.

    step: what is called, as the log names it. A SystemExit is such an exception, too: an engine does not
    end the server.
    """
    try:
        yield
    except (EngineError, TTSError, ContractBroken):
        raise
    except BaseException as error:
        if goes_on(error):
            raise
        raise ContractBroken(f"{step} raised {type(error).__name__}") from error


async def next_chunk(chunks: AsyncIterator[PcmChunk]) -> PcmChunk | None:
    """The next chunk of a session; None where its iteration ends.

    Raises EngineError, and ContractBroken for what is no PcmChunk or holds no speech.
    """
    with calling("iteration"):
        try:
            chunk = await anext(chunks)
        except StopAsyncIteration:
            return None
    return _checked(chunk)


def _checked(chunk: object) -> PcmChunk:
    if not isinstance(chunk, PcmChunk):
        raise ContractBroken(f"iteration yielded a {type(chunk).__name__}, which is no PcmChunk")
    samples: object = chunk.samples
    if not isinstance(samples, np.ndarray):
        raise ContractBroken(f"a chunk's samples are a {type(samples).__name__}, no array")
    if samples.dtype != np.float32 or samples.ndim != 1:
        found = f"{samples.dtype} of {samples.ndim} dimensions"
        raise ContractBroken(f"a chunk's samples are {found}; they must be float32 of one")
    if not len(samples):
        raise ContractBroken("iteration yielded an empty chunk")
    if not np.isfinite(samples).all():
        raise ContractBroken("a chunk's samples are not all finite")
    return chunk
