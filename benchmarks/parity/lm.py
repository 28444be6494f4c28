"""The speech LM's golden files: logits and loops, and the params of sampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from cosyserve.benchmarks.parity.reference import lm as parity
from cosyserve.benchmarks.parity.reference.lm import REFERENCE, Quirks, spelled
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder
from cosyserve.engine.cosyvoice.lm.sampling import RasParams, left_padded, ras_distribution

from .folder import GoldenModels
from .golden import GoldenFile
from .lm3 import check_cosyvoice3
from .report import EXACT

_HIDDEN = 1e-4
_LOGITS = 2e-4
_PROBABILITY = 1e-6
_ROUNDING = 1e-6
"""Added to a ratio of two counts, so that times the one it gives the other."""


def check_llm(file: GoldenFile, models: GoldenModels) -> None:
    """f_llm: reference.lm's entries. Each object in meta is a bistream with the scripted sampler.

    Where meta has `uni` and `bi`, it is CosyVoice 3's: lm3.py.
    """
    if "bi" in file.meta:
        check_cosyvoice3(file, models.decoder, models.folder.raw_config()["llm_ids"]["endofprompt"])
        return
    decoder = models.decoder
    made = cache(lambda: parity.forward(decoder, *_texts(file)))
    for part, (key, tolerance) in enumerate((("hidden", _HIDDEN), ("logits", _LOGITS))):
        with file.check(key, tolerance) as check:
            check.tensors(made()[part])
    _check_unistream(file, decoder)
    for name, case in file.meta.items():
        if isinstance(case, dict):
            _check_bistream(file, decoder, name, case)


def unistream(
    decoder: LmDecoder, file: Mapping[str, Tensor], min_tokens: int | None = None
) -> parity.Decoding:
    """The greedy decoding of f_llm, for as many steps as its logits have.

    min_tokens: before which speech does not end; None for the reference's default.
    """
    texts = _texts(file)
    size = max(1, texts[0].numel())
    least = 2.0 if min_tokens is None else min_tokens / size + _ROUNDING
    most = file["uni_step_logits"].shape[0] / size + _ROUNDING
    return parity.inference(decoder, *texts, min_token_text_ratio=least, max_token_text_ratio=most)


def bistream(
    decoder: LmDecoder, case: Mapping[str, Any], quirks: Quirks = REFERENCE
) -> parity.Decoding:
    """The decoding of one of f_llm's cases, with its script."""
    places = case["fill_at_len_out_tokens"], case["eos_at_len_out_tokens"]
    return parity.inference_bistream(
        decoder,
        [_ids(piece) for piece in case["pieces"]],
        _ids(case["prompt_text"]),
        _ids(case["prompt_speech"]),
        parity.scripted(decoder.ids, *places),
        quirks,
    )


def _check_unistream(file: GoldenFile, decoder: LmDecoder) -> None:
    made = cache(partial(unistream, decoder, file, file.meta.get("uni_min_len")))
    _check_decoding(file, "uni", made)
    if "uni_first_lm_input" in file.meta:
        with file.check("uni", EXACT, "first input") as check:
            first = file.meta["uni_first_lm_input"].split()
            check.lists(spelled(decoder.ids, made().context)[: len(first)], first)


def _check_bistream(
    file: GoldenFile, decoder: LmDecoder, name: str, case: Mapping[str, Any]
) -> None:
    made = cache(partial(bistream, decoder, case))
    _check_decoding(file, name, made)
    if "lm_inputs" in case:
        with file.check(name, EXACT, "inputs") as check:
            golden = " ".join(case["lm_inputs"]).split()
            check.lists(spelled(decoder.ids, made().context), golden)
    if "pieces_pulled_when_emitted" in case:
        with file.check(name, EXACT, "pieces pulled") as check:
            check.lists(made().pieces_pulled, case["pieces_pulled_when_emitted"])


def _check_decoding(file: GoldenFile, name: str, made: Callable[[], parity.Decoding]) -> None:
    with file.check(f"{name}_tokens", EXACT) as check:
        check.lists(made().tokens, file[f"{name}_tokens"].tolist())
    with file.check(f"{name}_step_logits", _LOGITS) as check:
        check.tensors(made().step_logits)


def check_sampling(file: GoldenFile, models: GoldenModels) -> None:
    """f_ras_sampling: lm.sampling.ras_distribution, of each NAME_logp after NAME_decoded."""
    params = params_of(file.meta)
    described = [case["case"] for case in file.meta.get("cases", [])]
    named = [match[1] for match in file.matching(r"(.+)_(?:logp|decoded|prob)")]
    for name in dict.fromkeys([*described, *named]):
        with file.check(f"{name}_prob", _PROBABILITY) as check:
            decoded = file[f"{name}_decoded"].tolist()
            history = torch.tensor([left_padded(decoded, int(params.win))])
            check.tensors(ras_distribution(file[f"{name}_logp"][None], history, params)[0])


def params_of(meta: Mapping[str, Any]) -> RasParams:
    """The params that f_ras_sampling's meta names; what it leaves out is the published model's."""
    names = {"top_p": "top_p", "top_k": "top_k", "win_size": "win", "tau_r": "tau"}
    return RasParams(**{ours: meta[name] for name, ours in names.items() if name in meta})


def _texts(file: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    return file["text"], file["prompt_text"], file["prompt_speech_token"]


def _ids(numbers: Sequence[int]) -> Tensor:
    return torch.tensor([list(numbers)], dtype=torch.int64)
