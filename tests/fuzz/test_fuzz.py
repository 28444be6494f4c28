"""The fuzzers for about 15 s each, always with the same cases; and that each of them can find something."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cosyserve.protocol import openai
from cosyserve.protocol.codec import refuse_binary
from cosyserve.server.http import forms
from cosyserve.server.websocket import connection
from fuzz import FUZZERS
from fuzz.audio import AudioFuzzer
from fuzz.codec import CodecFuzzer
from fuzz.harness import Fuzzer, fuzz
from fuzz.multipart import MultipartFuzzer
from fuzz.wire import WireFuzzer

SEED = 20_240_601
pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("name", FUZZERS)
def test_nothing_is_found(name: str) -> None:
    with FUZZERS[name]() as fuzzer:
        report = fuzz(fuzzer, SEED, lambda cases: cases < fuzzer.cases, steered=fuzzer.repeatable)
    assert not report.findings, "\n\n".join(map(str, report.findings))
    assert report.kinds > 20


class Checker:
    """Lets a fuzzer run until it has found something."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def finds(self, problem: str, fuzzer: Fuzzer, shrinking: int) -> None:
        """Its case is written to a file, and has the problem again."""
        told: list[str] = []
        fuzzer.shrinking = shrinking
        with fuzzer:
            report = fuzz(fuzzer, SEED, lambda _: not told, self.folder, told.append)
            finding = report.findings[0]
            assert problem in finding.problem
            assert finding.file.is_relative_to(self.folder)
            assert str(finding.file) in told[0]
            (outcome,) = fuzzer.check([finding.file.read_bytes()])
            assert problem in str(outcome.problem)


@pytest.fixture
def checker(tmp_path: Path) -> Checker:
    return Checker(tmp_path / "found")


def test_a_decoder_that_raises_anything_else_is_found(
    monkeypatch: pytest.MonkeyPatch, checker: Checker
) -> None:
    read = openai._voice

    def careless(value: object) -> str:
        return str(value["id"]) if isinstance(value, dict) else read(value)

    monkeypatch.setattr(openai, "_voice", careless)
    checker.finds("KeyError", CodecFuzzer(), 100)


def test_a_decoder_that_works_too_long_is_found(
    monkeypatch: pytest.MonkeyPatch, checker: Checker
) -> None:
    read = openai._voice

    def slow(value: object) -> str:
        while not isinstance(value, str | dict):
            pass
        return read(value)

    monkeypatch.setattr("fuzz.codec.SECONDS", 0.5)
    monkeypatch.setattr(openai, "_voice", slow)
    checker.finds("of processor time", CodecFuzzer(), 0)


def test_a_connection_that_fails_of_a_frame_is_found(
    monkeypatch: pytest.MonkeyPatch, checker: Checker
) -> None:
    def careless() -> Exception:
        return KeyError(refuse_binary().message)

    monkeypatch.setattr(connection, "refuse_binary", careless)
    checker.finds("internal error", WireFuzzer(), 5)


def test_an_upload_that_fails_of_a_header_is_found(
    monkeypatch: pytest.MonkeyPatch, checker: Checker
) -> None:
    def careless(value: str) -> str:
        charset, _, rest = value.partition("''")
        return rest.encode().decode(charset)

    monkeypatch.setattr(forms, "_extended", careless)
    checker.finds("an answer 500", MultipartFuzzer(), 5)


CRASHES = """
import ctypes
from fuzz import audio_worker

decode = audio_worker.decode_clip

def decode_clip(data, *rest):
    return ctypes.string_at(0) if data[:4] == b"OggS" != data[4:6] else decode(data, *rest)

audio_worker.decode_clip = decode_clip
audio_worker.main()
"""


def test_a_crash_is_found(checker: Checker, tmp_path: Path) -> None:
    script = tmp_path / "crashes.py"
    script.write_text(CRASHES)
    fuzzer = AudioFuzzer((sys.executable, str(script)))
    checker.finds("the process ends with -11", fuzzer, 3)
