"""The speech LM in vLLM on tiny weights, for tests with the marker `vllm`."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cosyserve.benchmarks.parity.reference.config import model_config
from cosyserve.engine.cosyvoice.checkpoint import Checkpoint, from_state_dicts
from cosyserve.engine.cosyvoice.lm.vllm.backend import VllmSpeechLM
from cosyserve.engine.cosyvoice.lm.vllm.convert import converted
from cosyserve.engine.cosyvoice.lm.vllm.host import EngineHost
from cosyserve.engine.cosyvoice.lm.vllm.options import VllmOptions
from support.engines import goldens, tiny_lm
from support.tools.required import missing

MAX_MODEL_LEN = 512
MAX_STREAMS = 16


def required() -> None:
    """Skip the test where vLLM is not installed, or fail it where it has to be."""
    if importlib.util.find_spec("vllm") is None:
        missing("vllm", "vLLM is not installed")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    with warnings.catch_warnings(action="ignore"):
        import vllm.v1.engine.async_llm
        import vllm.v1.sample.logits_processor  # noqa: F401


def golden_checkpoint(stop_bias: list[float] | None = None) -> Checkpoint:
    """stop_bias: as in tiny_lm.model."""
    config = model_config(goldens.config())
    return from_state_dicts(config, llm=tiny_lm.model(stop_bias).state_dict())


@contextmanager
def one_process() -> Iterator[None]:
    """Engines begun meanwhile have their worker within the core's process, and start the sooner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        patch.setenv("OMP_NUM_THREADS", "1")  # a worker by itself would have taken care of that
        yield


@asynccontextmanager
async def running(
    checkpoint: Checkpoint, folder: Path, **options: Any
) -> AsyncIterator[VllmSpeechLM]:
    """A backend on an engine of its own, which takes half a minute to start. folder: for the model."""
    required()
    wanted = {
        "max_model_len": MAX_MODEL_LEN,
        "max_num_seqs": MAX_STREAMS,
        "enforce_eager": True,
        "kv_cache_bytes": 64 << 20,
        **options,
    }
    host = EngineHost(VllmOptions(converted(checkpoint, folder), **wanted))
    lm = VllmSpeechLM(host, checkpoint.config.lm)
    try:
        await lm.start()
        yield lm
    finally:
        await lm.stop()
        # vLLM leaves it to the collector to close its sockets, which warns of them. A task of its own
        # that it has cancelled has to end first.
        with warnings.catch_warnings(action="ignore"):
            for _ in range(10):
                await asyncio.sleep(0)
            gc.collect()
