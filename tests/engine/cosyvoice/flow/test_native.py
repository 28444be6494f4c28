"""The compiled attention: what torch's attention gives, wherever keys and values lie."""

import logging
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cosyserve.benchmarks.parity.reference.flow import speak
from cosyserve.engine.cosyvoice.checkpoint import from_state_dicts, load_flow
from cosyserve.engine.cosyvoice.flow import ContextPolicy, attention
from cosyserve.engine.cosyvoice.flow import attention as native
from cosyserve.engine.cosyvoice.flow.attention import AttentionKernel, attention_kernel
from support.engines.tiny_checkpoint import TINY, weights
from support.engines.tiny_flow import difference, random_case
from support.tools.required import missing


@pytest.fixture(scope="module")
def kernel() -> AttentionKernel:
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        pytest.skip("the kernel is for processors with AVX-512")
    return attention_kernel() or missing("g++", "attention.cpp was not compiled: is there a g++?")


@pytest.fixture
def _anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a new process of a user without a cache."""
    monkeypatch.setattr(native, "_CACHE", tmp_path / "cache")
    attention_kernel.cache_clear()
    yield
    attention_kernel.cache_clear()


def exact(query: Tensor, parts: list[Tensor]) -> Tensor:
    """In float64."""
    keys, values = torch.cat(parts, dim=3).double()
    return F.scaled_dot_product_attention(query.double(), keys, values)


def random_parts(sizes: list[int], width: int, scale: float = 1.0) -> tuple[Tensor, list[Tensor]]:
    """Queries, and parts that lie with other memory between their heads."""
    random = torch.Generator().manual_seed(sum(sizes))
    query = torch.randn(2, 3, 17, width, generator=random) * scale
    rooms = [torch.randn(2, 2, 3, size + 9, width, generator=random) for size in sizes]
    return query, [room[..., :size, :] for room, size in zip(rooms, sizes, strict=True)]


@settings(max_examples=60)
@given(
    sizes=st.lists(st.sampled_from([0, 1, 15, 16, 63, 64, 65, 200, 1500]), min_size=1, max_size=4),
    width=st.sampled_from([16, 32, 64]),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
)
def test_any_sizes(kernel: AttentionKernel, sizes: list[int], width: int, scale: float) -> None:
    if not sum(sizes):
        return
    query, parts = random_parts(sizes, width, scale)
    found = kernel.attend(query, parts)
    assert difference(found.double(), exact(query, parts)) < 1e-4 * max(1.0, scale)


@pytest.mark.parametrize("queries", range(1, 12))
def test_any_number_of_queries(kernel: AttentionKernel, queries: int) -> None:
    query, parts = random_parts([70, 5], 64)
    found = kernel.attend(query[:, :, :queries], parts)
    assert difference(found.double(), exact(query[:, :, :queries], parts)) < 1e-5


def test_rounding_is_that_of_float32(kernel: AttentionKernel) -> None:
    query, parts = random_parts([1000], 64)
    known = exact(query, parts)
    keys, values = parts[0]
    torchs = F.scaled_dot_product_attention(query, keys, values)
    off = difference(kernel.attend(query, parts).double(), known)
    assert off < 3 * difference(torchs.double(), known)


def test_what_lies_in_no_rows_is_read_all_the_same(kernel: AttentionKernel) -> None:
    mixed = torch.randn(2, 20, 3, 3, 16)  # as one product gives queries, keys and values
    query, *own = mixed.permute(2, 0, 3, 1, 4)
    parts = [torch.stack(own)]
    assert difference(kernel.attend(query, parts).double(), exact(query, parts)) < 1e-5
    views = mixed.permute(2, 0, 3, 1, 4)[1:]
    assert difference(kernel.attend(query, [views]).double(), exact(query, parts)) < 1e-5


def test_the_largest_scores_do_not_overflow(kernel: AttentionKernel) -> None:
    query, parts = random_parts([100, 300], 64, 1e4)
    found = kernel.attend(query, parts)
    assert found.isfinite().all()
    assert difference(found.double(), exact(query, parts)) < 1e-2


def test_a_value_that_is_not_a_number_is_not_hidden(kernel: AttentionKernel) -> None:
    query, parts = random_parts([100], 64)
    parts[0][1, 0, 0, 7] = torch.nan
    found = kernel.attend(query, parts)
    assert found[0, 0].isnan().all()
    assert found[1].isfinite().all()


def test_with_one_thread_as_with_two(kernel: AttentionKernel) -> None:
    query, parts = random_parts([333], 32)
    threads = torch.get_num_threads()
    made = []
    for count in (1, 2):
        torch.set_num_threads(count)
        made.append(kernel.attend(query, parts))
    torch.set_num_threads(threads)
    assert torch.equal(*made)


def test_a_width_that_it_does_not_know_is_left_to_torch(kernel: AttentionKernel) -> None:
    assert attention.kernel_for(torch.zeros(1, 1, 1, 64)) is kernel
    assert attention.kernel_for(torch.zeros(1, 1, 1, 40)) is None
    assert attention.kernel_for(torch.zeros(1, 1, 1, 64, dtype=torch.bfloat16)) is None
    assert attention.kernel_for(torch.zeros(1, 1, 1, 64, device="meta")) is None


@pytest.mark.parametrize("room", [0, 90, 500])
def test_the_flow_says_what_it_says_at_once(
    kernel: AttentionKernel, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    flow = load_flow(from_state_dicts(TINY, flow=weights("flow")))
    assert flow.config.estimator.attention_head_dim in native.WIDTHS
    case = random_case(3, prompt=60, tokens=150)
    mels = []
    for used in (kernel, None):
        monkeypatch.setattr(attention, "attention_kernel", lambda used=used: used)
        state = flow.start(flow.prepare_prompt(*case.voice), ContextPolicy(room=room))
        mels.append(torch.cat(speak(flow, state, case.token[0], [20, 60, 70]), dim=1))
    assert difference(mels[0], case.whole(flow)) < 1e-4
    assert 0 < difference(*mels) < 1e-4


@pytest.mark.usefixtures("_anew")
class TestWhereItCannotBeHad:
    def test_no_compiler(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "which", lambda name: None)
        assert attention_kernel() is None

    def test_another_processor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
        assert attention_kernel() is None

    def test_a_compiler_that_fails(
        self,
        kernel: AttentionKernel,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        broken = tmp_path / "broken.cpp"
        broken.write_text("this is no C++")
        monkeypatch.setattr(native, "_SOURCE", broken)
        with caplog.at_level(logging.WARNING):
            assert attention_kernel() is None
        assert "cannot be compiled" in caplog.text

    def test_a_compiler_that_hangs(
        self, kernel: AttentionKernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def hang(*args: object, timeout: float, **more: object) -> None:
            raise subprocess.TimeoutExpired("g++", timeout)

        monkeypatch.setattr(subprocess, "run", hang)
        assert attention_kernel() is None

    def test_one_that_is_wrong(
        self,
        kernel: AttentionKernel,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        wrong = tmp_path / "wrong.cpp"
        source = native._SOURCE.read_text()
        assert "sums) * kept" in source
        wrong.write_text(source.replace("sums) * kept", "sums)"))
        monkeypatch.setattr(native, "_SOURCE", wrong)
        with caplog.at_level(logging.WARNING):
            assert attention_kernel() is None
        assert "wrong" in caplog.text


def no_compiler(*_: object, **__: object) -> None:
    raise OSError("it is not to be compiled again")


@pytest.mark.usefixtures("_anew", "kernel")
class TestItIsKept:
    def test_for_the_next_start(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        assert attention_kernel() is not None
        [kept] = (tmp_path / "cache").iterdir()
        assert kept.suffix == ".so"
        attention_kernel.cache_clear()
        monkeypatch.setattr(subprocess, "run", no_compiler)
        assert attention_kernel() is not None

    @pytest.mark.parametrize("changed", ["_SOURCE", "_CPU"])
    def test_and_not_taken_for_another(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changed: str
    ) -> None:
        assert attention_kernel() is not None
        attention_kernel.cache_clear()
        other = tmp_path / "other.cpp"
        other.write_text(getattr(native, changed).read_text() + "\nflags : another\n")
        monkeypatch.setattr(native, changed, other)
        monkeypatch.setattr(subprocess, "run", no_compiler)
        assert attention_kernel() is None

    def test_unless_the_folder_cannot_be_written(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "cache").write_text("a file")
        assert attention_kernel() is not None

    def test_unless_there_is_no_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def homeless(path: Path) -> Path:
            raise RuntimeError("no home")

        monkeypatch.setattr(Path, "expanduser", homeless)
        assert attention_kernel() is not None
