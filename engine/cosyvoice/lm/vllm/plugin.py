"""vLLM's entry point `vllm.general_plugins`: every process of vLLM calls `register` when it starts.

It makes the model known, and sees to it that vLLM's processes end with the server. By themselves they would
outlive a server that was killed, and keep the GPU's memory.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Final

_CORE: Final = "EngineCore"
"""How vLLM's name for the process begins that the server starts; its workers end with it."""


def end_with_the_server(end: Callable[[], None] | None = None) -> threading.Thread | None:
    """In vLLM's engine core, kill this process when its parent dies; elsewhere nothing.

    end: in place of killing. Returns the thread that waits.
    """
    parent = multiprocessing.parent_process()
    if parent is None or not multiprocessing.current_process().name.startswith(_CORE):
        return None

    def watch(sentinel: int) -> None:
        wait([sentinel])
        (end or _kill)()

    thread = threading.Thread(target=watch, args=(parent.sentinel,), name="parent", daemon=True)
    thread.start()
    return thread


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


ARCHITECTURE: Final = "CosyVoiceSpeechLM"


def register() -> None:
    """Make the architecture known. Idempotent; imports no model code."""
    from vllm import ModelRegistry

    end_with_the_server()
    if ARCHITECTURE not in ModelRegistry.get_supported_archs():
        ModelRegistry.register_model(ARCHITECTURE, f"{__package__}.model:{ARCHITECTURE}")
