"""Which dialect an address is, and what holds there."""

from __future__ import annotations

import pytest

from cosyserve.protocol.errors import InvalidParameter
from cosyserve.server.dialects import UpgradeTarget, dialect_of, find_route
from cosyserve.server.dialects.dashscope import DASHSCOPE
from cosyserve.server.dialects.served import DIALECTS
from cosyserve.server.settings import load_settings


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/api-ws/v1/audio/speech", "cosyvoice"),
        ("/api-ws/v1/inference/", "dashscope"),
        ("http://host/api-ws/v1/inference?x=1", "dashscope"),
        ("/api-ws/v1/realtime?model=x", "dashscope_realtime"),
        ("/v1/text-to-speech/alba/stream-input", "elevenlabs"),
        ("/v1/text-to-speech/alba/multi-stream-input", "elevenlabs"),
        ("/v1/audio/speech/stream", "vllm_omni"),
    ],
)
def test_a_dialect_is_chosen_by_its_path(target: str, name: str) -> None:
    route = find_route(target, DIALECTS)
    assert route is not None
    assert route.dialect.name == name


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "*",
        "//[",
        "http://[x/api-ws/v1/inference",
        "/api-ws/v1/%69nference",
        "/api-ws/v1/inference/../inference",
        "/v1/text-to-speech//stream-input",
        "/v1/text-to-speech/a/b/stream-input",
    ],
)
def test_other_addresses_are_nobodys(target: str) -> None:
    assert find_route(target, DIALECTS) is None


def test_an_address_is_decoded_once() -> None:
    route = find_route("/v1/text-to-speech/..%2f%2500/stream-input?a=%2541&b", DIALECTS)
    assert route is not None
    assert route.target == UpgradeTarget({"voice_id": "../%00"}, {"a": "%41", "b": ""})


def test_a_query_of_too_many_fields_is_refused() -> None:
    with pytest.raises(InvalidParameter):
        find_route("/api-ws/v1/inference?" + "a&" * 200, DIALECTS)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "cosyvoice"),
        ("*", "cosyvoice"),
        ("/api/v1/audio/speech", "cosyvoice"),
        ("/v2/voice", "cosyvoice"),
        ("/v11", "cosyvoice"),
        ("/v1", "openai"),
        ("/v1/audio/nothing", "openai"),
        ("/models/tts-1", "openai"),
        ("/v1/voicesome", "openai"),
        ("/v1/voices", "elevenlabs"),
        ("/v1/text-to-speech/", "elevenlabs"),
        ("/v2/voices/x", "elevenlabs"),
    ],
)
def test_the_longest_prefix_tells_whose_request_it_is(path: str, name: str) -> None:
    assert dialect_of(path, DIALECTS).name == name


@pytest.mark.parametrize(("idle", "first"), [("none", None), ("5", 60.0), ("90", 90.0)])
def test_pools_may_wait_before_their_first_task(idle: str, first: float | None) -> None:
    settings = load_settings({"idle_connection_timeout": idle})
    (route,) = DASHSCOPE.websockets
    terms = route.open(UpgradeTarget({}, {}), settings)
    assert (terms.first_timeout, terms.idle_timeout) == (first, 60.0)
