"""What cosyvoice2.yaml and Qwen2's config.json state."""

from __future__ import annotations

import pytest

from cosyserve.engine.cosyvoice.checkpoint.document import Document
from cosyserve.engine.cosyvoice.checkpoint.errors import CheckpointError
from cosyserve.engine.cosyvoice.checkpoint.sizes import Claim, claims_of_qwen, claims_of_yaml
from cosyserve.engine.cosyvoice.config import CosyVoice2Config
from cosyserve.engine.cosyvoice.families import COSYVOICE2
from cosyserve.training.checkpoint import official
from support.engines import tiny_checkpoint


def of_yaml(text: str) -> list[Claim]:
    return claims_of_yaml(COSYVOICE2, Document.parse(text.encode(), "cosyvoice2.yaml"))


def of_qwen(**changes: object) -> list[Claim]:
    raw = official.qwen_json(tiny_checkpoint.TINY.lm) | changes
    given = {name: value for name, value in raw.items() if value != "-"}
    return claims_of_qwen(COSYVOICE2, given, "q.json")


def test_yaml_states_all_but_what_weights_alone_show() -> None:
    config = tiny_checkpoint.TINY.flatten()
    claims = of_yaml(tiny_checkpoint.yaml_text())
    assert all(claim.value == config[claim.name] for claim in claims)
    silent = set(config) - {claim.name for claim in claims}
    qwen = {name for name in config if name.startswith("lm.")} - {
        *("lm.hidden_size", "lm.speech_token_size", "lm.mix_text", "lm.mix_speech")
    }
    assert silent == qwen | {"flow.steps", "flow.encoder.num_up_blocks"}


def test_a_claim_knows_its_place() -> None:
    claims = of_yaml(tiny_checkpoint.yaml_text())
    assert Claim("flow.look_ahead", 3, "cosyvoice2.yaml flow.pre_lookahead_len") in claims


def test_a_chunk_size_of_zero_states_nothing() -> None:
    text = tiny_checkpoint.yaml_text().replace("chunk_size: 25", "chunk_size: 0")
    stated = {claim.name for claim in of_yaml(text)}
    assert not stated & {"flow.encoder.chunk_tokens", "flow.estimator.chunk_frames"}


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("num_blocks: 1", "num_blocks: many", "flow.encoder.num_blocks: "),
        ("num_blocks: 1", "num_blocks: 1.5", "flow.encoder.num_blocks: "),
        ("num_blocks: 1", "num_blocks: !new:os.system", "flow.encoder.num_blocks: "),
        ("<chunk_size> * <token", "<chunk_size> ** <token", "estimator.static_chunk_size: "),
        ("channels: [32]", "channels: [32, 32]", "flow.decoder.estimator.channels: "),
        ("channels: [32]", "channels: 32", "flow.decoder.estimator.channels: "),
        ("mix_ratio: [5, 15]", "mix_ratio: [5]", "llm.mix_ratio: "),
        ("mix_ratio: [5, 15]", "mix_ratio: [5, a]", "llm.mix_ratio: "),
        ("cfg_rate: 0.7", "cfg_rate: .inf", "inference_cfg_rate: "),
        ("solver: 'euler'", "solver: 'rk4'", "cfm_params.content.solver: rk4"),
        ("sample_rate: 24000", "sample_rate: 22050", "sample_rate: 22050"),
        ("macaron_style: False", "macaron_style: True", "flow.encoder.macaron_style: True"),
        ("fmax: 8000", "fmax: null", None),
        ("fmax: 8000", "fmax: 12000", "feat_extractor.fmax: 12000"),
        ("llm.llm.Qwen2LM", "llm.llm.CosyVoice3LM", "llm: !new:cosyvoice.llm.llm.CosyVoice3LM"),
        ("CausalMaskedDiffWithXvec", "MaskedDiffWithXvec", "flow: !new:"),
        ("\nhift: ", "\nhifi: ", "hift: missing"),
    ],
)
def test_a_wrong_entry_is_named(before: str, after: str, named: str | None) -> None:
    text = tiny_checkpoint.yaml_text()
    assert before in text
    if named is None:
        assert of_yaml(text.replace(before, after))
        return
    with pytest.raises(CheckpointError) as caught:
        of_yaml(text.replace(before, after))
    assert any(named in problem for problem in caught.value.problems)
    assert all(problem.startswith("cosyvoice2.yaml") for problem in caught.value.problems)


def test_all_wrong_entries_are_named_at_once() -> None:
    text = tiny_checkpoint.yaml_text()
    text = text.replace("num_blocks: 1", "num_blocks: many").replace("'euler'", "'rk4'")
    with pytest.raises(CheckpointError) as caught:
        of_yaml(text)
    assert len(caught.value.problems) == 2


def test_qwen_states_the_decoder() -> None:
    stated = {claim.name: claim.value for claim in of_qwen()}
    config = tiny_checkpoint.TINY.flatten()
    assert stated == {name: config[name] for name in stated}
    assert {"lm.num_attention_heads", "lm.num_key_value_heads", "lm.rope_theta"} <= set(stated)


def test_newer_rope_entries_are_read() -> None:
    claims = of_qwen(rope_theta="-", rope_parameters={"rope_theta": 5e5, "rope_type": "default"})
    assert Claim("lm.rope_theta", 500000.0, "q.json rope_theta") in claims


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", "64"),
        ("hidden_size", [64]),
        ("num_attention_heads", "-"),
        ("num_key_value_heads", "-"),
        ("rope_scaling", {"type": "yarn"}),
        ("use_sliding_window", True),
        ("tie_word_embeddings", False),
        ("hidden_act", "gelu"),
        ("model_type", "llama"),
        ("rope_theta", float("nan")),
    ],
)
def test_a_wrong_entry_of_qwen_is_named(name: str, value: object) -> None:
    with pytest.raises(CheckpointError, match=rf"^q\.json:? {name}: "):
        of_qwen(**{name: value})


def test_defaults_are_the_published_models() -> None:
    claims = of_yaml(tiny_checkpoint.yaml_text(CosyVoice2Config()))
    default = CosyVoice2Config().flatten()
    assert all(claim.value == default[claim.name] for claim in claims)
