"""Who is let in, by header and by subprotocol."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.server.auth import ANONYMOUS, SUBPROTOCOL, Authenticator, Caller
from cosyserve.server.settings.values import parse_token

ANN, BOB = Caller("ann"), Caller("bob")


@pytest.fixture
def authenticator() -> Authenticator:
    return Authenticator([parse_token("ann=secret-of-ann"), parse_token("bob=secret-of-bob")])


@pytest.mark.parametrize(
    "header",
    ["secret-of-ann", "Bearer secret-of-ann", "bearer   secret-of-ann ", "BEARER secret-of-ann"],
)
def test_header_forms(authenticator: Authenticator, header: str) -> None:
    assert authenticator.by_header(header) == ANN


def test_every_token_is_known(authenticator: Authenticator) -> None:
    assert authenticator.by_header("Bearer secret-of-bob") == BOB


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer secret-of-ann2",
        "Bearer secret-of-an",
        "secret-of-ann secret-of-ann",
        "Basic secret-of-ann",
        "Bearer Bearer secret-of-ann",
        "Bearer secret-of-\u00e4nn",
        "\udcff\udc80",
        "ann=secret-of-ann",
    ],
)
def test_wrong_headers(authenticator: Authenticator, header: str | None) -> None:
    assert authenticator.by_header(header) is None


@given(st.text(alphabet=st.characters(), max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    authenticator = Authenticator([parse_token("ann=secret-of-ann")])
    assert authenticator.by_header(text) is None
    assert authenticator.by_subprotocols([SUBPROTOCOL, f"bearer.{text}"]) is None


def test_subprotocols(authenticator: Authenticator) -> None:
    assert authenticator.by_subprotocols([SUBPROTOCOL, "bearer.secret-of-ann"]) == ANN
    assert authenticator.by_subprotocols(["bearer.secret-of-bob", SUBPROTOCOL]) == BOB
    assert authenticator.by_subprotocols([SUBPROTOCOL, "bearer.wrong"]) is None
    assert authenticator.by_subprotocols([SUBPROTOCOL, "secret-of-ann"]) is None
    assert authenticator.by_subprotocols([SUBPROTOCOL]) is None
    assert authenticator.by_subprotocols([]) is None


def test_without_tokens_everybody_is_anonymous() -> None:
    authenticator = Authenticator([])
    for header in (None, "", "Bearer whatever", "\udcff"):
        assert authenticator.by_header(header) is ANONYMOUS
    assert authenticator.by_subprotocols([]) is ANONYMOUS
    assert authenticator.by_subprotocols(["bearer.x"]) is ANONYMOUS


def test_all_tokens_are_compared_whichever_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return a == b

    monkeypatch.setattr("cosyserve.server.auth.compare_digest", compare)
    tokens = [parse_token(f"t{number}=secret-{number}") for number in range(5)]
    assert Authenticator(tokens).by_header("secret-0") == Caller("t0")
    assert len(compared) == 5
    assert {len(value) for pair in compared for value in pair} == {32}
