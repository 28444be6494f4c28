"""Ids of models, with clients that need no network."""

from __future__ import annotations

import sys
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cosyserve.engine.cosyvoice.checkpoint import CheckpointError, locate, open_checkpoint
from cosyserve.engine.cosyvoice.checkpoint.source import HubId, find_files, parse_id

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FunAudioLLM/CosyVoice2-0.5B@v1", ("huggingface", "FunAudioLLM/CosyVoice2-0.5B", "v1")),
        (f"a/b@{COMMIT}", ("huggingface", "a/b", COMMIT)),
        ("huggingface:a/b@refs/pr/1", ("huggingface", "a/b", "refs/pr/1")),
        ("modelscope:iic/CosyVoice2-0.5B@v2.0", ("modelscope", "iic/CosyVoice2-0.5B", "v2.0")),
    ],
)
def test_ids(text: str, expected: tuple[str, str, str]) -> None:
    assert parse_id(text) == HubId(*expected)


@pytest.mark.parametrize(
    "text",
    [
        "model",
        "/a/b@v1",
        "./a/b@v1",
        "../b@v1",
        "a/b/c@v1",
        "a/b@",
        "a/b@v 1",
        "x:a/b@v1",
        "",
        "@v",
    ],
)
def test_what_is_no_id(text: str) -> None:
    assert parse_id(text) is None


def test_an_id_needs_a_revision() -> None:
    with pytest.raises(CheckpointError, match=r"^a/b: no such directory; .*: a/b@COMMIT$"):
        parse_id("a/b")


def test_a_directory_goes_before_an_id(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(whole.parent.parent)
    name = f"{whole.parent.name}/{whole.name}"
    assert locate(name) == Path(name)


def test_a_client_gets_name_and_revision(whole: Path) -> None:
    asked = []

    def client(name: str, revision: str) -> str:
        asked.append((name, revision))
        return str(whole)

    checkpoint = open_checkpoint("modelscope:a/b@v1", {"modelscope": client})
    assert asked == [("a/b", "v1")]
    assert checkpoint.files is not None
    assert checkpoint.files.folder == whole


def test_a_failed_download_says_why() -> None:
    def client(name: str, revision: str) -> str:
        raise ConnectionError("no route\nto host")

    with pytest.raises(CheckpointError, match=r"^huggingface:a/b@v1: not downloaded: no route"):
        locate("a/b@v1", {"huggingface": client})


@pytest.mark.parametrize(
    ("source", "package"),
    [("a/b@v1", "huggingface_hub"), ("modelscope:a/b@v1", "modelscope")],
)
def test_the_hubs_own_client_is_asked_for_the_files_alone(
    whole: Path, monkeypatch: pytest.MonkeyPatch, source: str, package: str
) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []

    def snapshot_download(name: str, **options: Any) -> str:
        calls.append((name, options))
        return str(whole)

    fake = ModuleType(package)
    fake.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, package, fake)
    assert locate(source) == whole
    ((name, options),) = calls
    assert (name, options["revision"]) == ("a/b", "v1")
    allowed = options["allow_patterns"]
    needed = [str(path.relative_to(whole)) for path in find_files(whole).all()]
    assert all(any(fnmatch(path, pattern) for pattern in allowed) for path in needed)
    foreign = ["model.py", "CosyVoice-BlankEN/modeling.py", "CosyVoice-BlankEN/model.safetensors"]
    assert not any(fnmatch(path, pattern) for path in foreign for pattern in allowed)


def test_a_client_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "modelscope", None)
    with pytest.raises(CheckpointError, match="needs the package modelscope"):
        locate("modelscope:a/b@v1")
