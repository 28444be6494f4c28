"""A server whose engine is a clock: `python -P timed_server.py CHUNKS CHUNK_SECONDS INTERVAL`.

`launch.timed_server` runs this file by its path, with PYTHONPATH of the checkout to measure: it imports
nothing beside it, and only modules that older checkouts have, too. It takes its settings from the
environment, announces its address as `cosyserve serve` does, and ends at SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from importlib import import_module
from typing import Any, Final

import uvloop

_LOGS: Final = ("cosyserve.server.observe.logs", "cosyserve.server.logs")
_ENGINE: Final = ("cosyserve.benchmarks.load.timed_engine", "cosyserve.benchmarks.timed_engine")
"""Modules by their names now and before they were moved."""


async def main(chunks: int, chunk_seconds: float, interval: float) -> None:
    """Serve until SIGTERM."""
    from cosyserve.server.app import serve
    from cosyserve.server.settings import load_settings

    _module(*_LOGS).configure_logging("warning", "console")
    engine = _module(*_ENGINE).TimedEngine(chunks, chunk_seconds, interval)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    settings = load_settings()
    if "max_realtime_share" in type(settings).model_fields:  # a clock has no speed to be measured
        settings = settings.model_copy(update={"max_realtime_share": None})
    async with serve(settings, engine=engine) as server:
        print(f"listening on {server.url}", flush=True)
        await stopped.wait()


def _module(name: str, older: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return import_module(older)


if __name__ == "__main__":
    arguments = (int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*arguments))
