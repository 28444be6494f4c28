"""Attention to the keys and values of earlier steps, the masks it needs, and our own kernel for CPUs.

torch's attention on a CPU wants keys and values side by side in memory, and multiplies through MKL, which
uses half of the vector width on AMD's processors. So attention.cpp is compiled for this machine when it is
first needed, and kept in the user's cache folder; it is tried out at each start, and used if its results are
right. On other processors, or without a compiler, torch's attention serves, more slowly.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import math
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from ...files import write_file


def chunk_mask(length: int, chunk: int, device: torch.device) -> Tensor | None:
    """[length, length], True where query i sees key j: up to the end of i's chunk, without left limit.

    The first position begins a chunk. None where every query sees every key.
    """
    if length <= chunk:
        return None
    position = torch.arange(length, device=device)
    end = (position // chunk + 1) * chunk
    return position[None, :] < end[:, None]


def with_past(mask: Tensor | None, keys: int) -> Tensor | None:
    """The mask of the newest positions, widened to `keys` keys; all earlier ones are seen."""
    if mask is None or mask.shape[-1] == keys:
        return mask
    return F.pad(mask, (keys - mask.shape[-1], 0), value=True)


_log = logging.getLogger(__name__)

_SOURCE: Final = Path(__file__).with_name("attention.cpp")
_FLAGS: Final = (
    "-std=c++17",
    "-O3",
    "-march=native",
    "-ffp-contract=fast",
    "-fopenmp",
    "-fPIC",
    "-shared",
)
_CACHE: Final = Path("~/.cache/cosyserve/kernels")
_CPU: Final = Path("/proc/cpuinfo")
_TOLD_BY: Final = ("model name", "flags")
"""Lines that say which instructions a processor has."""
_COMPILE_SECONDS: Final = 120
"""Time limit of the compiler, which takes one second."""
WIDTHS: Final = (16, 32, 64)
"""Head widths that the kernel supports; the published model's is 64."""
_TOLERANCE: Final = 1e-4
"""In the trial, against torch's attention."""


class _Part(ctypes.Structure):
    _fields_ = (
        ("keys", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("head", ctypes.c_int64),
        ("frames", ctypes.c_int64),
    )


class AttentionKernel:
    """On a CPU, in float32, with as many threads as torch has."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._run = library.cosyserve_attend
        size = ctypes.c_int64
        self._run.argtypes = (
            *(ctypes.c_void_p, size, size, size),
            *(ctypes.POINTER(_Part), size),
            *(ctypes.c_void_p, ctypes.c_int),
        )
        self._run.restype = None

    def takes(self, query: Tensor) -> bool:
        """Whether it supports heads of this width."""
        return query.shape[-1] in WIDTHS

    def attend(self, query: Tensor, parts: Sequence[Tensor]) -> Tensor:
        """query [batch, heads, n, width], parts [2, batch, heads, frames, width] side by side, in this order;
        all keys are seen. The result is like query. Parts whose heads lie one by one are not copied."""
        batch, heads, n, width = query.shape
        # Its weights are powers of two.
        scaled = (query * (math.log2(math.e) / math.sqrt(width))).contiguous()
        given = [part if _in_rows(part) else part.contiguous() for part in parts]
        table = (_Part * len(given))(*map(_part, given))
        out = torch.empty_like(scaled)
        rows = batch * heads, n, width
        self._run(
            scaled.data_ptr(), *rows, table, len(given), out.data_ptr(), torch.get_num_threads()
        )
        return out


def _in_rows(part: Tensor) -> bool:
    _, batch, head, frame, number = part.stride()
    return (batch, frame, number) == (part.shape[2] * head, part.shape[4], 1)


def _part(part: Tensor) -> _Part:
    keys, values = part
    return _Part(keys.data_ptr(), values.data_ptr(), part.stride(2), part.shape[3])


@lru_cache(maxsize=1)
def attention_kernel() -> AttentionKernel | None:
    """None where it cannot be had. The first call may take a second; it may come from any thread."""
    if platform.system() != "Linux" or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return None
    try:
        library = _library()
    except (OSError, subprocess.SubprocessError) as error:
        _log.warning("attention.cpp cannot be compiled, torch's attention serves: %s", error)
        return None
    if library is None:
        _log.info("no g++ here: attention on the CPU is torch's, which is slower")
        return None
    kernel = AttentionKernel(library)
    if not _right(kernel):
        _log.warning("attention.cpp gives wrong results here, torch's attention serves")
        return None
    return kernel


def _library() -> ctypes.CDLL | None:
    """From the cache folder, else compiled; None without a compiler.

    Raises OSError, subprocess.SubprocessError.
    """
    kept = _kept_at()
    if kept is not None and kept.is_file():
        with suppress(OSError):  # a folder that nothing may be run from
            return ctypes.CDLL(str(kept))
    compiler = shutil.which("g++")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory(prefix="cosyserve-") as folder:
        made = Path(folder) / "attention.so"
        command = [compiler, *_FLAGS, str(_SOURCE), "-o", str(made), *_openmp()]
        subprocess.run(command, check=True, capture_output=True, timeout=_COMPILE_SECONDS)
        if kept is not None:
            with suppress(OSError):  # a home that cannot be written: compiled again next time
                kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_file(kept, made.read_bytes())
        return ctypes.CDLL(str(made))


def _kept_at() -> Path | None:
    """Its file in the cache folder, named by all that it is compiled of and for; None without a home."""
    try:
        folder = _CACHE.expanduser()
    except RuntimeError:
        return None
    machine = [line for line in _CPU.read_text().splitlines() if line.startswith(_TOLD_BY)]
    parts = (_SOURCE.read_text(), *_FLAGS, *_openmp(), *sorted(set(machine)))
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return folder / f"attention-{digest[:32]}.so"


def _openmp() -> list[str]:
    """torch's own OpenMP, where it brings one: two of them would take the cores from each other."""
    package = Path(torch.__file__).parent
    folders = package / "lib", package.parent / "torch.libs"
    return [str(found) for folder in folders for found in folder.glob("libgomp*.so*")][:1]


def _right(kernel: AttentionKernel) -> bool:
    random = torch.Generator().manual_seed(0)
    for width in WIDTHS:
        query = torch.randn(1, 2, 7, width, generator=random)
        parts = [torch.randn(2, 1, 2, n, width, generator=random) for n in (300, 1, 70)]
        keys, values = torch.cat(parts, dim=3)
        known = F.scaled_dot_product_attention(query, keys, values)
        if not float((kernel.attend(query, parts) - known).abs().max()) < _TOLERANCE:
            return False
    return True


FRAMES: Final = -2
"""The dimension that counts frames, in keys, values and queries."""


def attend(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, bias: Tensor | None = None
) -> Tensor:
    """Each [batch, heads, frames, head_dim]. mask: of the newest keys; the earlier ones are seen.

    bias: added to the scores.
    """
    seen = with_past(mask, keys.shape[FRAMES])
    if bias is not None:
        seen = bias if seen is None else bias.masked_fill(~seen, -torch.inf)
    return F.scaled_dot_product_attention(query, keys, values, attn_mask=seen)


def kernel_for(query: Tensor) -> AttentionKernel | None:
    """Our own, for keys and values in pieces; None where torch's serves, which wants them in one."""
    if query.device.type != "cpu" or query.dtype != torch.float32:
        return None
    kernel = attention_kernel()
    return kernel if kernel is not None and kernel.takes(query) else None
