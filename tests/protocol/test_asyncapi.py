"""asyncapi.yaml says what the code does."""

from __future__ import annotations

from typing import Any, get_args

import jsonschema
import orjson
import pytest
from hypothesis import given

from cosyserve.protocol.cosyvoice.codec import (
    ACTIONS,
    TASK_ID,
    decode_command,
    decode_event,
    encode_command,
    encode_event,
)
from cosyserve.protocol.cosyvoice.codec import EVENTS as EVENT_NAMES
from cosyserve.protocol.messages import (
    CancelTask,
    Command,
    ContinueTask,
    Event,
    FinishReason,
    FinishTask,
    ResultGenerated,
    RunTask,
)
from cosyserve.protocol.parameters import MODELS, SpeechParameters
from cosyserve.protocol.text import TextLimits
from support.tools.contracts import (
    Json,
    error_classes,
    load,
    parameter_schemas,
    plain,
    resolve,
    validate,
)
from support.tools.protocol_examples import COMMANDS, EVENTS, commands, events

DOCUMENT = load("asyncapi.yaml")
SCHEMAS = DOCUMENT["components"]["schemas"]
# The other channels speak other APIs; their dialects' tests look at them.
MESSAGES = {
    name: DOCUMENT["components"]["messages"][name]
    for name in DOCUMENT["channels"]["speech"]["messages"]
}
EXAMPLES = [
    pytest.param(name, example["payload"], id=f"{name}: {example['name']}")
    for name, message in MESSAGES.items()
    for example in message.get("examples", [])
]


def refs(node: Any) -> list[str]:
    if isinstance(node, list):
        return [ref for each in node for ref in refs(each)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if "$ref" in node else []
    return own + [ref for each in node.values() for ref in refs(each)]


def schema_of(name: str) -> Json:
    schema = resolve(DOCUMENT, MESSAGES[name]["payload"])
    assert isinstance(schema, dict)
    return schema


def wire(message: Command | Event) -> Json:
    match message:
        case RunTask() | ContinueTask() | FinishTask() | CancelTask():
            data = encode_command(message)
        case event:
            data = encode_event(event).text
    value = orjson.loads(data)
    assert isinstance(value, dict)
    return value


def wire_name(message: Command | Event) -> str:
    header = wire(message)["header"]
    return str(header.get("event") or header["action"])


def test_the_document_has_the_structure_of_asyncapi_3() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"info", "servers", "channels", "operations", "components"} <= set(DOCUMENT)
    assert {"title", "version"} <= set(DOCUMENT["info"])
    for server in DOCUMENT["servers"].values():
        assert {"host", "protocol", "security"} <= set(server)
        assert server["protocol"] in ("ws", "wss")
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = resolve(DOCUMENT, operation["channel"])
        # The specification wants an operation's messages to be references into its channel.
        prefix = operation["channel"]["$ref"] + "/messages/"
        for message in operation["messages"]:
            assert message["$ref"].startswith(prefix)
            assert message["$ref"].removeprefix(prefix) in channel["messages"]


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    used = refs(DOCUMENT)
    for ref in used:
        assert resolve(DOCUMENT, {"$ref": ref}), ref
    assert {f"#/components/schemas/{name}" for name in SCHEMAS} <= set(used)
    assert {f"#/components/messages/{name}" for name in MESSAGES} <= set(used)


def test_every_schema_is_a_valid_one() -> None:
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_the_channel_and_its_operations_have_every_message() -> None:
    channel = DOCUMENT["channels"]["speech"]
    assert channel["address"] == "/api-ws/v1/audio/speech"
    assert set(channel["messages"]) == set(MESSAGES) == {*ACTIONS, *EVENT_NAMES, "audio-bytes"}
    operations = DOCUMENT["operations"]

    def names(operation: str) -> set[str]:
        return {each["$ref"].rsplit("/", 1)[-1] for each in operations[operation]["messages"]}

    assert operations["receiveCommands"]["action"] == "receive"
    assert names("receiveCommands") == set(ACTIONS)
    assert names("sendEvents") == {*EVENT_NAMES, "audio-bytes"}


def test_every_message_has_an_example() -> None:
    assert all(message.get("examples") for name, message in MESSAGES.items() if "bytes" not in name)


def test_both_ways_to_bring_the_token() -> None:
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert (schemes["bearer"]["type"], schemes["bearer"]["scheme"]) == ("http", "bearer")
    assert schemes["subprotocol"]["name"] == "Sec-WebSocket-Protocol"
    for server in DOCUMENT["servers"].values():
        assert len(server["security"]) == len(schemes)


@pytest.mark.parametrize(("name", "payload"), EXAMPLES)
def test_an_example_fits_its_schema_and_round_trips(name: str, payload: Json) -> None:
    validate(DOCUMENT, schema_of(name), payload)
    data = orjson.dumps(payload)
    if name in ACTIONS:
        command = decode_command(data)
        assert wire_name(command) == name
        assert decode_command(encode_command(command)) == command
    else:
        event = decode_event(data)
        assert wire_name(event) == name
        assert orjson.loads(encode_event(event).text) == payload


def test_examples_show_both_transports() -> None:
    results = [decode_event(orjson.dumps(p.values[1])) for p in EXAMPLES if "result" in str(p.id)]
    assert {each.binary for each in results if isinstance(each, ResultGenerated)} == {True, False}


@given(commands)
def test_every_command_fits_its_schema(command: Command) -> None:
    validate(DOCUMENT, schema_of(wire_name(command)), wire(command))


@given(events)
def test_every_event_fits_its_schema(event: Event) -> None:
    value = wire(event)
    if wire_name(event) == "task-failed":
        value["header"]["error_code"] = "InternalError"  # the type takes any string
    validate(DOCUMENT, schema_of(wire_name(event)), value)


@pytest.mark.parametrize("message", [*COMMANDS, *EVENTS], ids=repr)
def test_the_required_fields_are_those_that_the_schema_requires(message: Command | Event) -> None:
    value = wire(message)
    optional = {"streaming", "attributes"} if "action" in value["header"] else set()
    for name in value["header"].keys() - optional:
        broken = {**value, "header": {k: v for k, v in value["header"].items() if k != name}}
        with pytest.raises(jsonschema.ValidationError):
            validate(DOCUMENT, schema_of(wire_name(message)), broken)


def test_the_parameters_are_those_of_the_code() -> None:
    contract = SCHEMAS["SpeechParameters"]
    fields = contract["properties"].items()
    assert {name: plain(each) for name, each in fields if name != "pronunciations"} == (
        parameter_schemas()
    )
    assert contract["required"] == SpeechParameters.model_json_schema()["required"]
    assert all(each["description"] for name, each in contract["properties"].items())


def test_enums_and_limits_are_those_of_the_code() -> None:
    assert SCHEMAS["Model"]["enum"] == list(MODELS)
    assert SCHEMAS["TaskId"]["pattern"] == f"^{TASK_ID.pattern}$"
    reasons = SCHEMAS["TaskFinished"]["properties"]["payload"]["properties"]["output"]
    assert reasons["properties"]["finish_reason"]["enum"] == list(get_args(FinishReason))
    text = SCHEMAS["Input"]["properties"]["text"]["description"]
    assert str(TextLimits().message) in text
    assert str(TextLimits().task) in text


# What only HTTP has: a WebSocket is refused by these before there is a task.
OF_HTTP = {
    "Forbidden",
    "NotFound",
    "MethodNotAllowed",
    "RequestTimeout",
    "PayloadTooLarge",
    "TooManyReferences",
    "UnsupportedMediaType",
}


def test_every_error_code_of_a_task_is_listed_and_explained() -> None:
    contract = SCHEMAS["ErrorCode"]
    assert set(contract["enum"]) == {each.code for each in error_classes()} - OF_HTTP
    for code in contract["enum"]:
        assert f"{code}: " in contract["description"]
