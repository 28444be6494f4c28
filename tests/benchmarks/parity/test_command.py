"""The command: its exit status, and what it names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cosyserve.benchmarks.parity.__main__ import main
from cosyserve.benchmarks.parity.running import SECTIONS
from support.engines import goldens
from support.engines.golden_folders import Change, altered, folder_of, write

KNOWN = {"chirp_wav16k, resampled", "chirp_mel24k", "chirp_fbank80_raw"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, object]]]:
    """The rows of the committed goldens, by file."""
    report = tmp_path_factory.mktemp("report") / "rows.json"
    assert main([str(goldens.FOLDER), "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    assert found["passed"]
    assert found["absent"] == []
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in SECTIONS}
    for row in found["rows"]:
        rows[row["file"]].append(row)
    return rows


@pytest.mark.parametrize("name", SECTIONS)
def test_the_committed_goldens_are_met(
    whole: dict[str, list[dict[str, object]]], name: str
) -> None:
    over = {row["array"] for row in whole[name] if row["status"] not in ("ok", "info")}
    assert over == (KNOWN if name == "g_frontend" else set())
    assert whole[name]
    for row in whole[name]:
        assert bool(row["reason"]) == (row["array"] in over)
        assert row["known"] == (row["array"] in over)


@pytest.mark.parametrize("name", SECTIONS)
def test_every_result_of_the_reference_has_a_row(
    whole: dict[str, list[dict[str, object]]], name: str
) -> None:
    """What is left is inputs."""
    rows = {str(row["array"]).partition(",")[0] for row in whole[name]}
    inputs = {
        "a_encoder": {"token", "prompt_token"},
        "b_flow_inference": {"token", "prompt_token", "prompt_feat", "embedding"},
        "c_estimator": {"x", "mask", "mu", "spks", "cond", "t0", "t1"},
        "d_hift": {
            *("mel", "decode_s", "cache_source", "noise", "noise_f0", "f0_known", "f0_long"),
        },
        "e_token2wav_loop": {"token", "prompt_token", "prompt_feat", "embedding"},
        "e2_tail": {"token", "prompt_token", "prompt_feat", "embedding"},
        "f_llm": {"text", "prompt_text", "prompt_speech_token"},
        "g_frontend": {"chirp_wav24k", "zero_shot_wav24k"},
    }
    left = {key for key in goldens.tensors(name) if key not in rows}
    left = {key for key in left if name != "f_ras_sampling" or key.endswith("_prob")}
    assert left == inputs.get(name, set())


def added(key: str, value: float = 0.01) -> Change:
    """One value of the array, off by so much."""

    def change(arrays: dict[str, Tensor]) -> None:
        arrays[key].view(-1)[7] += value

    return change


ALTERED = [
    ("a_encoder", "h_s1_ctx", ["flow"]),
    ("b_flow_inference", "mel_stream_prefix_46", ["flow"]),
    ("c_estimator", "time_emb_t1", ["flow"]),
    ("d_hift", "decode_wav", ["hift"]),
    ("f_llm", "bi_short_step_logits", ["llm"]),
    ("f_ras_sampling", "flat_prob", []),
    ("g_frontend", "zero_shot_whisper128", []),
    ("rand_noise", "rand_noise", ["flow"]),
]


@pytest.mark.parametrize(("name", "key", "parts"), ALTERED, ids=[row[1] for row in ALTERED])
def test_an_altered_array_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, key: str, parts: list[str]
) -> None:
    folder = altered(tmp_path, name, added(key), parts)
    assert main([str(folder)]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "over" in line]
    over = [line.split()[0].rstrip(",") for line in lines if "(known)" not in line]
    assert set(over[:-1]) == {key}


def test_altered_tokens_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = altered(tmp_path, "f_llm", added("bi_short_tokens", 1), ["llm"])
    assert main([str(folder)]) == 1
    tokens = goldens.tensors("f_llm")["bi_short_tokens"].tolist()
    reason = f"over: 1 entries differ, first at 7: {tokens[7]}, golden {tokens[7] + 1}"
    assert reason in capsys.readouterr().out


@pytest.mark.parametrize("loud", [True, False])
def test_a_known_reason_excuses_no_more_than_it_explains(tmp_path: Path, loud: bool) -> None:
    def change(arrays: dict[str, Tensor]) -> None:
        mel = arrays["chirp_mel24k"].view(-1)
        mel[mel.argmax() if loud else mel.argmin()] += 1e-3 if loud else 0.5

    assert main([str(altered(tmp_path, "g_frontend", change))]) == 1


def test_a_resampler_s_clip_is_not_taken_for_a_formula(tmp_path: Path) -> None:
    folder = altered(tmp_path, "g_frontend", added("zero_shot_wav24k", 1e-3))
    assert main([str(folder)]) == 1


def test_nan_is_not_within(tmp_path: Path) -> None:
    assert main([str(altered(tmp_path, "f_ras_sampling", added("flat_prob", float("nan"))))]) == 1


def test_a_folder_may_hold_some_of_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(tmp_path, "f_ras_sampling.safetensors")
    assert main([str(folder)]) == 0
    absent = [f"{name}.safetensors" for name in SECTIONS if name != "f_ras_sampling"]
    assert f"not in the folder: {', '.join(absent)}" in capsys.readouterr().out


def test_what_lacks_weights_is_unchecked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ("e2_tail.safetensors", "flow.safetensors", "config.json")
    assert main([str(folder_of(tmp_path, *files))]) == 1
    lines = capsys.readouterr().out.splitlines()
    reason = "unchecked: needs hift.safetensors, which is not there"
    assert sum(reason in line for line in lines) == len(goldens.tensors("e2_tail"))


def test_weights_may_come_from_elsewhere(tmp_path: Path, tiny_model: Path) -> None:
    folder = folder_of(tmp_path, "c_estimator.safetensors", "rand_noise.safetensors")
    assert main([str(folder), "--weights", str(goldens.FOLDER)]) == 0
    checkpoint = ["--weights", str(tiny_model)]
    assert main([str(folder), "--only", "rand_noise", *checkpoint]) == 0
    assert main([str(folder), "--only", "c_estimator", *checkpoint]) == 1


def test_arrays_that_are_missing_or_unknown_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(arrays: dict[str, Tensor]) -> None:
        del arrays["euler_dt"], arrays["mu"]
        arrays["out_t9_s0"] = torch.zeros(1)

    assert main([str(altered(tmp_path, "c_estimator", change, ["flow"]))]) == 1
    found = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert found["euler_dt"].endswith("missing")
    assert found["out_t0_s0"].endswith("missing: needs mu, which is not there")
    assert found["out_t9_s0"].endswith("unknown: no check took this array")
    assert found["time_emb_t0"].endswith("ok")


def test_a_file_that_is_none_of_ours_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(tmp_path, "f_ras_sampling.safetensors")
    write(folder, "h_more", {"a": torch.zeros(1)}, {})
    assert main([str(folder)]) == 1
    assert "unknown: no golden file of this name" in capsys.readouterr().out
    assert main([str(folder), "--only", "f_ras"]) == 0


def test_a_meta_that_is_not_as_in_the_layout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "f_ras_sampling", goldens.tensors("f_ras_sampling"), {"cases": [1]})
    assert main([str(tmp_path)]) == 1
    assert "error: not as in the layout" in capsys.readouterr().out


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def test_what_is_no_folder_of_goldens_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "not a folder" in refusal(capsys, str(tmp_path / "none"))
    assert "no folder of golden vectors: it has none of a_encoder.saf" in refusal(
        capsys, str(tmp_path)
    )
    folder = str(folder_of(tmp_path, "f_ras_sampling.safetensors", "flow.safetensors"))
    assert "'h': no golden file; there are a_encoder" in refusal(capsys, folder, "--only", "h")
    assert "a_encoder: not there" in refusal(capsys, folder, "--only", "f_ras,a")
    assert "''" in refusal(capsys, folder, "--only", "")
    folder_of(tmp_path, "rand_noise.safetensors")
    assert "config.json: not readable" in refusal(capsys, folder, "--only", "rand")
