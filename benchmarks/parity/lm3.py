"""The speech LM's golden file of CosyVoice 3: the cases of `meta.uni` and `meta.bi`.

A case marked `quirk` shows a fault of the reference. Where it is marked `clean` too, the arrays of
CASE_clean_ hold the decoding without that fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, Final

import torch
from torch import Tensor

from cosyserve.benchmarks.parity.reference import lm as parity
from cosyserve.benchmarks.parity.reference.lm import REFERENCE, Decoding, Quirks, spelled
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder

from .golden import GoldenFile
from .report import EXACT

MENDED: Final = replace(REFERENCE, speaks_first=False, masks_one=False)
"""Without the faults that CosyVoice 3 added."""
_HIDDEN = 1e-4
_LOGITS = 2e-4
_ROUNDING = 1e-6
"""Added to a ratio of two counts, so that times the one it gives the other."""


def check_cosyvoice3(file: GoldenFile, decoder: LmDecoder, end_of_prompt: int) -> None:
    """Every array of f_llm."""
    made = cache(partial(forward, decoder, file.meta["forward"]))
    for part, (key, tolerance) in enumerate((("hidden", _HIDDEN), ("logits", _LOGITS))):
        with file.check(key, tolerance) as check:
            check.tensors(made()[part])
    for kind, speak in (("uni", unistream), ("bi", bistream)):
        for name, case in file.meta[kind].items():
            clean = ("clean_",) if case.get("clean") else ()
            for variant in ("", *clean):
                quirks = MENDED if variant else REFERENCE
                spoken = cache(partial(speak, decoder, case, end_of_prompt, quirks))
                full = name if name.startswith(f"{kind}_") else f"{kind}_{name}"
                _check_case(file, full, variant, case, decoder, spoken)


def forward(decoder: LmDecoder, case: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """The hidden states and logits of `meta.forward`."""
    text, prompt, speech = (ids_of(case[key]) for key in ("text", "prompt_text", "prompt_speech"))
    return parity.forward(decoder, text, prompt, speech)


def unistream(
    decoder: LmDecoder, case: Mapping[str, Any], end_of_prompt: int, quirks: Quirks
) -> Decoding:
    """A case of `meta.uni`; empty where the reference refuses."""
    text, prompt = case["text"], case["prompt_text"]
    if end_of_prompt not in (*prompt, *text):
        return Decoding()
    most = min(case["max_len"], case.get("stop_after") or case["max_len"])
    least = min(case["min_len"], most)
    return parity.inference(
        decoder,
        ids_of(text),
        ids_of(prompt),
        ids_of(case["prompt_speech"]),
        _sampler(decoder, case),
        least / len(text) + _ROUNDING,
        most / len(text) + _ROUNDING,
        quirks=quirks,
    )


def bistream(
    decoder: LmDecoder, case: Mapping[str, Any], end_of_prompt: int, quirks: Quirks
) -> Decoding:
    """A case of `meta.bi`, up to the reference's error if it has one."""
    found, prompt = Decoding(), case["prompt_text"]
    if end_of_prompt not in prompt:
        return found
    try:
        return parity.inference_bistream(
            decoder,
            [ids_of(piece) for piece in case["pieces"]],
            ids_of(prompt),
            ids_of(case["prompt_speech"]),
            _sampler(decoder, case),
            quirks,
            opening=prompt.index(end_of_prompt) + 1,
            found=found,
        )
    except ValueError:
        if quirks.masks_one and case["error"]:
            return found
        raise


def ids_of(numbers: Sequence[int]) -> Tensor:
    return torch.tensor([list(numbers)], dtype=torch.int64)


def _sampler(decoder: LmDecoder, case: Mapping[str, Any]) -> parity.Sampler:
    script = case.get("script", {})
    draw = {int(place): number for place, number in script.get("draw", {}).items()}
    eos_at = script.get("eos_at", float("inf"))
    return parity.scripted(decoder.ids, script.get("fill_at", ()), eos_at, draw)


def _check_case(
    file: GoldenFile,
    name: str,
    variant: str,
    case: Mapping[str, Any],
    decoder: LmDecoder,
    spoken: Any,
) -> None:
    with file.check(f"{name}_{variant}tokens", EXACT) as check:
        check.lists(spoken().tokens, file[f"{name}_{variant}tokens"].tolist())
    logits = f"{name}_{variant}step_logits"
    if logits in file:
        with file.check(logits, _LOGITS) as check:
            check.tensors(spoken().step_logits)
    with file.check(f"{name}_{variant}tokens", EXACT, "inputs") as check:
        golden = " ".join(case[f"{variant}lm_inputs"]).split()
        found = spelled(decoder.ids, spoken().context)
        check.lists(found if "pieces" in case else found[: len(golden)], golden)
    pulled = f"{variant}pieces_pulled_when_emitted"
    if pulled in case:
        with file.check(f"{name}_{variant}tokens", EXACT, "pieces pulled") as check:
            check.lists(spoken().pieces_pulled, case[pulled])
