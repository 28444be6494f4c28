"""ElevenLabs' pronunciation dictionaries on real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import FormData

from cosyserve.engine.interface import Sounds
from support.engines.phonetic_engine import PhoneticFakeEngine, PhoneticSession
from support.peers.peers import Peer
from support.peers.texts import ELEVENLABS, MULTI, STREAM, Talk

URL = "/v1/pronunciation-dictionaries"
ALIAS = {"type": "alias", "string_to_replace": "UN", "alias": "United Nations"}
PHONEME = {
    "type": "phoneme",
    "string_to_replace": "Nguyen",
    "phoneme": "wɪn",
    "alphabet": "ipa",
    "case_sensitive": False,
}
RULES = [ALIAS, PHONEME]
TEXT = "nguyen of the UN, UNO"
SPOKEN = "nguyen of the United Nations, UNO"
SAID = [("nguyen", Sounds("ipa", "wɪn"))]


@pytest.fixture
async def peer(served: Any) -> AsyncIterator[Peer]:
    async with served(PhoneticFakeEngine(word_times=True)) as (server, engine):
        async with Peer.of(server, engine) as peer:
            yield peer


async def call(peer: Peer, method: str, path: str = "", **how: Any) -> tuple[int, Any]:
    async with peer.http.request(method, URL + path, **how) as answer:
        return answer.status, await answer.json()


async def made(peer: Peer, *rules: Any, name: str = "Names") -> Any:
    status, found = await call(
        peer, "POST", "/add-from-rules", json={"name": name, "rules": rules or RULES}
    )
    assert status == 200, found
    return found


def located(dictionary: Any, *more: str) -> dict[str, Any]:
    """The field that asks for this dictionary. more: the id of a version."""
    locator = {"pronunciation_dictionary_id": dictionary["id"]}
    if more:
        locator["version_id"] = more[0]
    return {"pronunciation_dictionary_locators": [locator]}


async def test_a_dictionary_from_its_making_to_its_archive(peer: Peer) -> None:
    one = await made(peer)
    assert (one["name"], one["version_rules_num"], one["permission_on_resource"]) == (
        *("Names", 2, "admin"),
    )
    _, got = await call(peer, "GET", f"/{one['id']}")
    assert got["latest_version_id"] == one["version_id"]
    assert got["rules"] == [
        {**ALIAS, "case_sensitive": True, "word_boundaries": True},
        {**PHONEME, "word_boundaries": True},
    ]
    _, changed = await call(
        peer, "POST", f"/{one['id']}/add-rules", json={"rules": [{**ALIAS, "alias": "U. N."}]}
    )
    assert changed["version_rules_num"] == 2  # the phrase has one rule, the new one
    _, changed = await call(
        peer, "POST", f"/{one['id']}/remove-rules", json={"rule_strings": ["Nguyen"]}
    )
    assert (changed["id"], changed["version_rules_num"]) == (one["id"], 1)
    _, got = await call(peer, "GET", f"/{one['id']}")
    assert [rule["alias"] for rule in got["rules"]] == ["U. N."]
    _, changed = await call(peer, "POST", f"/{one['id']}/set-rules", json={"rules": [PHONEME]})
    assert changed["version_rules_num"] == 1
    _, updated = await call(peer, "PATCH", f"/{one['id']}", json={"name": "N", "archived": True})
    assert (updated["name"], updated["latest_version_id"]) == ("N", changed["version_id"])
    assert updated["archived_time_unix"]
    _, listed = await call(peer, "GET")
    assert listed == {"pronunciation_dictionaries": [], "next_cursor": None, "has_more": False}
    _, listed = await call(peer, "GET", "?include_archived=true")
    assert [each["id"] for each in listed["pronunciation_dictionaries"]] == [one["id"]]


async def test_dictionaries_come_page_by_page(peer: Peer) -> None:
    ids = [(await made(peer, name=name))["id"] for name in "bca"]
    told: list[str] = []
    cursor = ""
    for more in (True, False):
        _, page = await call(
            peer, "GET", f"?page_size=2&sort=name&sort_direction=ascending{cursor}"
        )
        told += [each["id"] for each in page["pronunciation_dictionaries"]]
        assert page["has_more"] is more
        cursor = f"&cursor={page['next_cursor']}"
    assert told == [ids[2], ids[0], ids[1]]
    for query in (
        "page_size=0",
        "sort=size",
        "sort_direction=up",
        "cursor=x",
        "include_archived=7",
    ):
        status, found = await call(peer, "GET", f"?{query}")
        assert (status, found["detail"]["status"]) == (400, "invalid_parameters")
        assert found["detail"]["message"].startswith(query.partition("=")[0])


async def test_a_lexicon_goes_in_and_comes_out(peer: Peer) -> None:
    one = await made(peer, {**ALIAS, "case_sensitive": True}, {**PHONEME, "case_sensitive": True})
    async with peer.http.get(f"{URL}/{one['id']}/{one['version_id']}/download") as answer:
        assert answer.content_type == "application/pls+xml"
        lexicon = await answer.read()
    form = FormData({"name": "Copy", "description": "of it", "workspace_access": "viewer"})
    form.add_field("file", lexicon, filename="names.pls")
    status, copy = await call(peer, "POST", "/add-from-file", data=form)
    assert (status, copy["name"], copy["description"]) == (200, "Copy", "of it")
    rules = [(await call(peer, "GET", f"/{each['id']}"))[1]["rules"] for each in (one, copy)]
    assert rules[0] == rules[1]


@pytest.mark.parametrize("talk", [STREAM, MULTI], ids=str)
@pytest.mark.parametrize("size", [1, 100])
async def test_rules_are_followed_wherever_the_text_is_cut(
    peer: Peer, talk: Talk, size: int
) -> None:
    one = await made(peer)
    pieces = [TEXT[begin : begin + size] for begin in range(0, len(TEXT), size)]
    told = await talk.say(peer, [" ", *pieces], more=located(one, one["version_id"]))
    assert not told.error
    [session] = peer.engine.sessions
    assert isinstance(session, PhoneticSession)
    assert (session.text.strip(), session.said) == (SPOKEN, SAID)
    times = [each["alignment"] for each in told.messages if each.get("alignment")]
    assert "".join("".join(each["chars"]) for each in times).strip() == TEXT


async def test_rules_are_followed_over_http_and_between_breaks(peer: Peer) -> None:
    one = await made(peer)
    status, _ = await ELEVENLABS.say(peer, ELEVENLABS.with_text(TEXT, **located(one)))
    assert status == 200
    assert peer.engine.sessions[0].text == SPOKEN
    text = "UN<break time='1s'/>UN"
    status, _ = await ELEVENLABS.say(peer, ELEVENLABS.with_text(text, **located(one)))
    assert [each.text for each in peer.engine.sessions[1:]] == ["United Nations"] * 2


async def test_a_version_stays_as_it_was(peer: Peer) -> None:
    one = await made(peer)
    _, latest = await call(
        peer, "POST", f"/{one['id']}/set-rules", json={"rules": [{**ALIAS, "alias": "new"}]}
    )
    for versions, spoken in (
        ([one["version_id"]], "United Nations"),
        ([latest["version_id"]], "new"),
        ([], "new"),
    ):
        await ELEVENLABS.say(peer, ELEVENLABS.with_text("UN", **located(one, *versions)))
        assert peer.engine.sessions[-1].text == spoken


async def test_the_first_dictionary_that_has_a_phrase_counts(peer: Peer) -> None:
    one, other = await made(peer), await made(peer, {**ALIAS, "alias": "new"})
    both = [each for d in (other, one) for each in located(d)["pronunciation_dictionary_locators"]]
    body = ELEVENLABS.with_text("UN", pronunciation_dictionary_locators=both)
    assert (await ELEVENLABS.say(peer, body))[0] == 200
    assert peer.engine.sessions[0].text == "new"


@pytest.mark.parametrize(
    ("locators", "message"),
    [
        (7, "pronunciation_dictionary_locators: 7 is not allowed; allowed: a list of at most 3"),
        ([{}] * 4, "allowed: a list of at most 3"),
        (["x"], "pronunciation_dictionary_locators.0: 'x' is not allowed"),
        ([{}], "locators.0.pronunciation_dictionary_id: missing"),
        ([{"pronunciation_dictionary_id": "x", "version_id": 1}], "locators.0.version_id: 1 is"),
        ([{"pronunciation_dictionary_id": "x"}], "no dictionary has the id 'x'; allowed: one of"),
    ],
)
async def test_a_locator_that_leads_nowhere_is_named(
    peer: Peer, locators: Any, message: str
) -> None:
    field = {"pronunciation_dictionary_locators": locators}
    status, found = await ELEVENLABS.say(peer, ELEVENLABS.with_text("one", **field))
    assert status == 400
    assert message in json.loads(found)["detail"]["message"]
    for talk in (STREAM, MULTI):
        assert message in (await talk.say(peer, ["one "], more=field)).error
    assert peer.engine.sessions == []


async def test_dictionaries_are_named_at_the_beginning(peer: Peer) -> None:
    one, other = located(await made(peer)), located(await made(peer))
    async with peer.socket(STREAM.address()) as socket:
        await socket.send(*(json.dumps({"text": "one ", **named}) for named in (one, one, other)))
        told = await STREAM.heard(socket)
    assert "others than those of the text's first message" in told.error


async def test_another_token_has_no_such_dictionary(peer: Peer) -> None:
    one = await made(peer)
    async with Peer.of(peer.server, peer.engine, "bob-secret") as bob:
        for method, path in (("GET", ""), ("POST", "/set-rules")):
            body = None if method == "GET" else {"rules": RULES}
            status, found = await call(bob, method, f"/{one['id']}{path}", json=body)
            assert (status, found["detail"]["status"]) == (404, "not_found")
        _, listed = await call(bob, "GET")
        assert listed["pronunciation_dictionaries"] == []
        status, _ = await ELEVENLABS.say(bob, ELEVENLABS.with_text("UN", **located(one)))
        assert status == 400


async def test_shared_references_share_dictionaries(served: Any) -> None:
    async with served(PhoneticFakeEngine(), references_shared=True) as (server, engine):
        async with Peer.of(server, engine) as peer, Peer.of(server, engine, "bob-secret") as bob:
            one = await made(peer)
            _, found = await call(bob, "GET", f"/{one['id']}")
            assert (found["id"], found["created_by"]) == (one["id"], "alice")


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/add-from-rules", {"rules": RULES}, "name: missing"),
        (
            "/add-from-rules",
            {"name": " ", "rules": RULES},
            "name: ' ' is not allowed; allowed: 1 to",
        ),
        (
            "/add-from-rules",
            {"name": "a", "rules": RULES, "description": "x" * 1001},
            "description: ",
        ),
        (
            "/add-from-rules",
            {"name": "a"},
            "rules: missing; allowed: a list of rules, one at least",
        ),
        ("/add-from-rules", {"name": "a", "rules": []}, "rules: an array is not allowed"),
        ("/add-from-rules", {"name": "a", "rules": [1]}, "rules.0: 1 is not allowed"),
        ("/add-from-rules", {"name": "a", "rules": [ALIAS] * 501}, "rules: 501 in one dictionary"),
        (
            "/{id}/set-rules",
            {"rules": [{**ALIAS, "type": "x"}]},
            "rules.0.type: 'x' is not allowed",
        ),
        (
            "/{id}/set-rules",
            {"rules": [{**ALIAS, "alias": ""}]},
            "rules.0.alias: '' is not allowed",
        ),
        (
            "/{id}/set-rules",
            {"rules": [{**ALIAS, "string_to_replace": ""}]},
            "string_to_replace: ''",
        ),
        (
            "/{id}/add-rules",
            {"rules": [{**PHONEME, "alphabet": "py"}]},
            "allowed: ipa, cmu-arpabet",
        ),
        (
            "/{id}/add-rules",
            {"rules": [{**PHONEME, "phoneme": "aʁ"}]},
            "rules.0.phoneme: 'aʁ': no so",
        ),
        ("/{id}/remove-rules", {"rule_strings": "UN"}, "rule_strings: 'UN' is not allowed"),
        ("/{id}/remove-rules", {"rule_strings": ["x"]}, "rule_strings: no rule is for 'x'"),
    ],
)
async def test_what_is_wrong_is_named(peer: Peer, path: str, body: Any, message: str) -> None:
    one = await made(peer)
    status, found = await call(peer, "POST", path.format(id=one["id"]), json=body)
    assert (status, found["detail"]["status"]) == (400, "invalid_parameters")
    assert message in found["detail"]["message"]


async def test_what_is_not_there_is_not_found(peer: Peer) -> None:
    one = await made(peer)
    for method, path, body in (
        ("GET", "/nothing", None),
        ("PATCH", "/nothing", {"name": "a"}),
        ("POST", "/nothing/set-rules", {"rules": RULES}),
        ("GET", f"/nothing/{one['version_id']}/download", None),
    ):
        status, found = await call(peer, method, path, json=body)
        assert (status, found["detail"]["status"]) == (404, "not_found")
        assert "no pronunciation dictionary has the id 'nothing'" in found["detail"]["message"]
    status, found = await call(peer, "GET", f"/{one['id']}/nothing/download")
    assert status == 404


@pytest.mark.parametrize(
    ("form", "status", "message"),
    [
        ({"name": "a"}, 415, "multipart/form-data"),
        ({"name": "a", "file": "<lexicon/>"}, 400, "file: it has no lexemes"),
        ({"name": "a", "file": "<x"}, 400, "file: line 1: this is no well-formed XML"),
        ({"file": "<lexicon/>"}, 400, "name: missing"),
    ],
)
async def test_a_file_that_is_refused(
    peer: Peer, form: dict[str, str], status: int, message: str
) -> None:
    data = FormData()
    for name, value in form.items():
        data.add_field(name, value, filename="f.pls" if name == "file" else None)
    found = await call(peer, "POST", "/add-from-file", data=data)
    assert found[0] == status
    assert message in found[1]["detail"]["message"]
