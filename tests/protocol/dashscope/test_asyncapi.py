"""asyncapi.yaml says of the DashScope dialect what the code does."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from cosyserve.protocol.dashscope import DashScopeCodec
from cosyserve.protocol.dashscope.codec import ACTIONS
from cosyserve.protocol.dashscope.parameters import speech_parameters
from cosyserve.protocol.errors import InvalidParameter
from cosyserve.protocol.messages import (
    Mark,
    ResultGenerated,
    Sentence,
    TaskFailed,
    TaskFinished,
    TaskStarted,
    Word,
)
from cosyserve.server.dialects.dashscope import DASHSCOPE
from support.tools.contracts import load, resolve, validate
from support.tools.protocol_examples import METRICS

DOCUMENT = load("asyncapi.yaml")
CHANNEL = DOCUMENT["channels"]["dashscope"]
MESSAGES = {name: resolve(DOCUMENT, ref) for name, ref in CHANNEL["messages"].items()}
PARAMETERS = DOCUMENT["components"]["schemas"]["DashScopeParameters"]["properties"]
EXAMPLES = [
    pytest.param(name, example["payload"], id=f"{name}: {example['name']}")
    for name, message in MESSAGES.items()
    for example in message.get("examples", [])
]


def schema(name: str) -> Any:
    return resolve(DOCUMENT, MESSAGES[name]["payload"])


def codec() -> DashScopeCodec:
    return DashScopeCodec(23.0, lambda: "an-id")


def test_the_channel_is_where_the_dialect_is() -> None:
    assert [route.path for route in DASHSCOPE.websockets] == [CHANNEL["address"]]
    assert set(ACTIONS) < set(MESSAGES)


@pytest.mark.parametrize(("name", "payload"), EXAMPLES)
def test_an_example_fits_its_schema(name: str, payload: Any) -> None:
    validate(DOCUMENT, schema(name), payload)
    if name in ACTIONS:
        assert codec().decode(orjson.dumps(payload)).task_id == payload["header"]["task_id"]


@pytest.mark.parametrize(
    "event",
    [
        TaskStarted("t"),
        ResultGenerated(
            "t",
            "a",
            b"x",
            METRICS,
            words=(Word("Hi", 0, 0.5, 0, 2),),
            sentences=(Sentence(0, 0, 2, "Hi"),),
            marks=(Mark("m", 0.5),),
        ),
        TaskFinished("t", notices=("<phoneme>: read as it is written",)),
        TaskFailed("t", "TaskTimeout", "why"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_is_sent_fits_its_schema(event: Any) -> None:
    told = codec()
    told.encode(ResultGenerated("t", "a", b"x", METRICS))
    for frame in told.encode(event):
        message = orjson.loads(frame.text)
        validate(DOCUMENT, schema(message["header"]["event"]), message)


@pytest.mark.parametrize("name", sorted(PARAMETERS.keys() - {"hot_fix"}))
def test_the_limits_of_a_parameter_are_those_of_the_code(name: str) -> None:
    limits = PARAMETERS[name]
    fine = limits.get("enum", [])
    wrong: list[Any] = ["nothing of the kind"] if "enum" in limits else []
    if "minimum" in limits:
        fine = [limits["minimum"], limits["maximum"]]
        wrong = [limits["minimum"] - 1, limits["maximum"] + 1]
    if "maxLength" in limits:
        fine, wrong = ["x" * limits["maxLength"]], ["x" * (limits["maxLength"] + 1)]
    if limits["type"] == "boolean":
        fine, wrong = [True, False], [1]
    opus = {"format": "opus"} if name == "bit_rate" else {}
    for value in fine:
        speech_parameters({"voice": "v", **opus, name: value})
    assert wrong
    for value in wrong:
        with pytest.raises(InvalidParameter, match=name):
            speech_parameters({"voice": "v", **opus, name: value})
