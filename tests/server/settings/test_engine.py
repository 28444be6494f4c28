"""The engines' settings against the engines' options: the same names, the same defaults."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from cosyserve.engine.cosyvoice.options import CosyVoiceOptions
from cosyserve.engine.embedded.options import EmbeddedOptions
from cosyserve.server.settings import load_settings
from cosyserve.server.settings.engine import ENGINE_GROUPS, INNER, engine_options, setting_of

SETTINGS = {name for group in ENGINE_GROUPS for name in group.model_fields} - {"engine"}
"""All but the one that chooses between engines."""


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("COSYSERVE_")]:
        monkeypatch.delenv(name)


def options_of(kind: type) -> Iterator[tuple[type, str]]:
    """Every option, those of options within options included."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        inner = hints[field.name]
        if is_dataclass(inner) and field.name not in INNER.get(kind, {}):
            assert isinstance(inner, type)
            yield from options_of(inner)
        else:
            yield kind, field.name


OPTIONS = {*options_of(EmbeddedOptions), *options_of(CosyVoiceOptions)}
SET = {option for option in OPTIONS if option[1] not in INNER.get(option[0], {})}


def values(options: object) -> dict[str, Any]:
    """The options that have settings, by setting."""
    found: dict[str, Any] = {}
    for kind, name in SET:
        holder = options
        if not isinstance(options, kind):
            held = [getattr(options, field.name) for field in fields(options)]  # type: ignore[arg-type]
            holder = next((value for value in held if isinstance(value, kind)), None)
        if holder is not None:
            found[setting_of(kind, name)] = getattr(holder, name)
    return found


def test_every_option_is_a_setting_or_has_a_reason_not_to_be() -> None:
    assert {setting_of(kind, name) for kind, name in SET} == SETTINGS


def test_options_that_are_no_settings_exist_and_have_a_reason() -> None:
    listed = {(kind, name) for kind, names in INNER.items() for name in names}
    assert listed == OPTIONS - SET
    assert all(reason for names in INNER.values() for reason in names.values())
    for kind, name in listed:
        with pytest.raises(KeyError, match=name):
            setting_of(kind, name)


def test_settings_that_are_not_given_leave_the_options_as_they_are(tmp_path: Path) -> None:
    settings = load_settings({"model": str(tmp_path)})
    assert engine_options(CosyVoiceOptions, settings) == CosyVoiceOptions(str(tmp_path))
    assert engine_options(EmbeddedOptions, settings) == EmbeddedOptions()


def test_numbers_and_switches_that_are_given_reach_the_options(tmp_path: Path) -> None:
    before = load_settings({"model": str(tmp_path)})
    given: dict[str, Any] = {}
    for name in SETTINGS:
        match getattr(before, name):
            case bool(value):
                given[name] = not value
            case int(value) | float(value):
                given[name] = value / 2 if isinstance(value, float) else value // 2 or 2
    assert len(given) > 15
    settings = load_settings({"model": str(tmp_path), **given})
    reached = values(engine_options(CosyVoiceOptions, settings))
    reached |= values(engine_options(EmbeddedOptions, settings))
    assert {name: reached[name] for name in given} == given


@pytest.mark.parametrize("module", ["cosyvoice.options", "embedded.options"])
def test_options_import_nothing_heavy(module: str) -> None:
    heavy = ("numpy", "torch", "onnxruntime", "vllm", "transformers", "tokenizers", "wetext")
    code = f"import sys, cosyserve.engine.{module}; print([n for n in {heavy} if n in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (said.stdout, said.stderr) == ("[]\n", "")
