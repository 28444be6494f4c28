"""Fuzzers of what reads the bytes of clients: `harness` has how they work, `__main__` how they are run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from .audio import AudioFuzzer
from .codec import CodecFuzzer
from .harness import Fuzzer
from .multipart import MultipartFuzzer
from .wire import WireFuzzer

FUZZERS: Final[Mapping[str, Callable[[], Fuzzer]]] = MappingProxyType(
    {
        "codec": CodecFuzzer,
        "wire": WireFuzzer,
        "multipart": MultipartFuzzer,
        "audio": AudioFuzzer,
    }
)
