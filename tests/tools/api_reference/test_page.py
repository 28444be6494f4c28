"""The reference as a whole: current, complete, sound HTML."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

import pytest

from api_reference.contract import Contract
from api_reference.page import page, render
from cosyserve.server.page.assets import REFERENCE
from support.tools.contracts import load, resolve

ASYNCAPI, OPENAPI = load("asyncapi.yaml"), load("openapi.yaml")
METHODS = ("get", "post", "put", "patch", "delete")
VOID = {"meta", "link", "br", "wbr", "hr", "img"}


class Reader(HTMLParser):
    """Checks nesting while it reads; keeps anchors, links, tags and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: Counter[str] = Counter()
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        given = dict(attrs)
        self.ids += [value for value in [given.get("id")] if value]
        self.links += [value for value in [given.get("href"), given.get("src")] if value]
        assert not any(name.startswith("on") for name in given), attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(render())


def test_the_file_is_current() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == render(), (
        "a contract has changed: run PYTHONPATH=tools python -m api_reference"
    )


def test_every_link_leads_somewhere_and_anchors_are_unique(reader: Reader) -> None:
    assert [name for name, count in Counter(reader.ids).items() if count > 1] == []
    anchors = {f"#{name}" for name in reader.ids}
    outside = {link for link in reader.links if link not in anchors}
    served = {"/docs/openapi.yaml", "/docs/asyncapi.yaml"}
    assert {link for link in outside if not link.startswith("data:")} == served


def test_it_needs_nothing_from_elsewhere_and_runs_nothing(reader: Reader) -> None:
    assert not {"script", "img", "iframe", "object", "form"} & set(reader.tags)
    assert "@import" not in reader.text
    assert "url(" not in reader.text


def test_it_can_be_read_by_all(reader: Reader) -> None:
    assert reader.tags["main"] == reader.tags["nav"] == reader.tags["h1"] == 1
    assert render().startswith('<!doctype html>\n<html lang="en">')
    assert "#main" in reader.links  # the way past the contents


def test_it_has_every_operation(reader: Reader) -> None:
    for path, item in OPENAPI["paths"].items():
        for method in set(METHODS) & set(item):
            assert item[method]["operationId"] in reader.ids, f"{method} {path}"
            assert path in reader.text


def test_it_has_every_message_and_its_examples(reader: Reader) -> None:
    for name, channel in ASYNCAPI["channels"].items():
        assert channel["address"] in reader.text
        for key, message in channel["messages"].items():
            assert f"ws-{name}-{key}" in reader.ids
            for example in resolve(ASYNCAPI, message).get("examples", []):
                assert example["name"].replace("-", " ") in reader.text


def test_parameters_come_with_what_is_allowed(reader: Reader) -> None:
    assert "ws-speech-run-task-payload.parameters.sample_rate" in reader.ids
    assert "createSpeech-body-json-input.volume" in reader.ids
    assert "above 0, at most 10; default 1.0" in reader.text
    assert "listReferenceAudio-query-limit" in reader.ids


def test_errors_come_with_their_own_codes_only() -> None:
    made = render()
    upload = made[made.index('<article id="uploadReferenceAudio"') :].partition("</article>")[0]
    assert "<code>InvalidAudio</code>" in upload
    assert "<code>ModelNotFound</code>" not in upload


def test_contracts_with_little_in_them_make_a_page() -> None:
    info = {"title": "t", "version": "1"}
    sockets = {"info": info, "components": {}, "channels": {}, "operations": {}}
    untagged = {"get": {"responses": {"200": {"description": "Fine & well."}}}}
    made = page(
        Contract(sockets), Contract({"info": info, "components": {}, "paths": {"/x/{y}": untagged}})
    )
    reader = Reader(made)
    assert "get-x-y" in reader.ids
    assert "Fine & well." in reader.text
