"""Lengths and schedules come from the folder: ones that the committed goldens do not have."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch

from cosyserve.benchmarks.parity.folder import GoldenFolder, GoldenModels
from cosyserve.benchmarks.parity.reference.vocoder import Call, mel_of, play
from cosyserve.benchmarks.parity.running import chosen, run
from support.engines import goldens
from support.engines.golden_folders import folder_of, write
from support.engines.tiny_flow import random_case

CASE = random_case(8, prompt=18, tokens=70)
ARRAYS = {
    "token": CASE.token.int(),
    "prompt_token": CASE.prompt_token.int(),
    "prompt_feat": CASE.prompt_feat,
    "embedding": CASE.embedding,
}
WEIGHTS = ("flow.safetensors", "hift.safetensors", "config.json")


def results(folder: Path) -> dict[str, str]:
    opened = GoldenFolder(folder)
    files = run(opened, GoldenModels(opened), chosen([], opened))
    return {row.array: row.result for rows in files for row in rows}


def described(calls: list[Call], prompt: int = 18) -> list[dict[str, object]]:
    return [
        {
            "n_tokens": call.tokens,
            "token_offset": call.offset,
            "streaming": call.streaming,
            "finalize": call.finalize,
            "mel_frames": 2 * (call.tokens - (0 if call.finalize else 3)),
        }
        for call in calls
    ]


def test_a_schedule_that_only_meta_knows(tmp_path: Path) -> None:
    """The second chunk ends off the grid of 25 tokens."""
    ends = [7, 20, 57]
    calls = [Call(end + 3, start, True, False) for start, end in pairwise([0, *ends])]
    calls.append(Call(70, 57, True, True))
    models = goldens.models()
    chunks = play(models.hift, mel_of(models.flow, CASE), calls)
    pcm = {f"uneven_pcm_{number}": chunk for number, chunk in enumerate(chunks)}
    folder = folder_of(tmp_path, *WEIGHTS)
    write(
        folder,
        "e_token2wav_loop",
        {**ARRAYS, **pcm},
        {"uneven": {"chunks": described(calls)}},
    )
    found = results(folder)
    assert found.pop("uneven, schedule") == "info"
    assert set(found.values()) == {"ok"}
    assert {*pcm, "uneven, mel in steps", "uneven, frames by step"} == set(found)


def test_a_schedule_of_meta_that_is_not_its_name_s(tmp_path: Path) -> None:
    calls = [Call(70, 0, False, True)]
    models = goldens.models()
    (chunk,) = play(models.hift, mel_of(models.flow, CASE), calls)
    folder = folder_of(tmp_path, *WEIGHTS)
    arrays = {**ARRAYS, "hop25_pcm_0": chunk, "odd_pcm_0": chunk, "offline_pcm_0": chunk}
    write(folder, "e_token2wav_loop", arrays, {"hop25": {"chunks": described(calls)}})
    found = results(folder)
    assert found["hop25, schedule"].startswith("over: 3 entries differ, first at 0")
    assert found["hop25_pcm_0"] == found["offline_pcm_0"] == "ok"
    assert found["odd_pcm_0"] == "unknown: no check took this array"


def test_any_offline_speed(tmp_path: Path) -> None:
    models = goldens.models()
    calls = [Call(70, 0, False, True)]
    (chunk,) = play(models.hift, mel_of(models.flow, CASE), calls, speed=0.8)
    assert chunk.shape == (1, 175 * 480)
    folder = folder_of(tmp_path, *WEIGHTS)
    write(folder, "e_token2wav_loop", {**ARRAYS, "offline_speed0.8_pcm_0": chunk}, {})
    assert results(folder) == {"offline_speed0.8_pcm_0": "ok"}


def test_other_prefixes_and_times(tmp_path: Path) -> None:
    flow = goldens.models().flow
    folder = folder_of(tmp_path, *WEIGHTS)
    mels = {
        "spks": flow.speaker(CASE.embedding),
        "mel_offline": CASE.whole(flow, streaming=False)[None],
        "mel_stream_final": CASE.whole(flow)[None],
        "mel_stream_prefix_11": CASE.prefix(flow, 11, streaming=True, finalize=False),
        "mel_nonstream_prefix_40": CASE.prefix(flow, 40, streaming=False, finalize=False),
    }
    write(folder, "b_flow_inference", {**ARRAYS, **mels}, {"prefix_lengths": [11, 60]})
    found = results(folder)
    assert found.pop("mel_stream_prefix_60") == "missing"
    assert found.pop("mel_stream_prefix_60, by an early step") == "missing"
    assert set(found.values()) == {"ok"}
    assert {*mels, "mel_stream_prefix_11, by an early step"} < set(found)


def test_what_our_code_refuses_is_named_beside_the_rest(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, *WEIGHTS)
    flow = goldens.models().flow
    arrays = {**ARRAYS, "mel_stream_final": torch.zeros(1, 80, 3)}
    arrays["token"] = torch.full((1, 70), 216)
    arrays["spks"] = flow.speaker(CASE.embedding)
    write(folder, "b_flow_inference", arrays, {})
    found = results(folder)
    assert found["mel_stream_final"].startswith("error: IndexError")
    assert found["mel_stream_final, in steps"].startswith("error: FlowError: a speech token")
    assert found["spks"] == "ok"


def test_what_our_code_refuses_is_named_in_a_loop_too(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, *WEIGHTS)
    arrays = {**ARRAYS, "token": torch.full((1, 70), 216), "hop25_pcm_0": torch.zeros(1, 9)}
    write(folder, "e_token2wav_loop", arrays, {})
    found = results(folder)
    assert {result[:5] for result in found.values()} == {"error"}
    assert "hop25_pcm_0" in found


def test_a_loop_without_its_inputs_is_unchecked(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, *WEIGHTS)
    arrays = {"token": ARRAYS["token"], "final_stream_pcm_0": torch.zeros(1, 9)}
    write(folder, "e2_tail", arrays, {})
    found = results(folder)
    missing = "needs prompt_token, which is not there"
    assert found["mel_s0_final"] == found["mel_s1_final"] == f"missing: {missing}"
    assert found["final_stream_pcm_0"] == f"unchecked: {missing}"
    assert "token" not in found
