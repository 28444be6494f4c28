import pytest

from cosyserve.clients import InvalidRequest
from cosyserve.clients.connection import Endpoint


@pytest.mark.parametrize(
    ("url", "http", "websocket"),
    [
        ("http://h:8000", "http://h:8000", "ws://h:8000/api-ws/v1/audio/speech"),
        ("https://h/", "https://h", "wss://h/api-ws/v1/audio/speech"),
        ("ws://h:1/api-ws/v1/audio/speech", "http://h:1", "ws://h:1/api-ws/v1/audio/speech"),
        ("wss://h/tts/", "https://h/tts", "wss://h/tts/api-ws/v1/audio/speech"),
        (
            "http://[fe80::1%25eth0]:9",
            "http://[fe80::1%eth0]:9",
            "ws://[fe80::1%eth0]:9/api-ws/v1/audio/speech",
        ),
        (" http://[::1]:9 ", "http://[::1]:9", "ws://[::1]:9/api-ws/v1/audio/speech"),
    ],
)
def test_every_form_of_address_gives_both(url: str, http: str, websocket: str) -> None:
    endpoint = Endpoint.parse(url)
    assert (endpoint.http, endpoint.websocket) == (http, websocket)


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://h", "http://", "http://h:port"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="address"):
        Endpoint.parse(url)


@pytest.mark.parametrize("url", ["http://::1:8000", "http://::1", "ws://fe80::1:8000/x"])
def test_an_ipv6_address_without_brackets_is_told_of_them(url: str) -> None:
    with pytest.raises(InvalidRequest, match=r"brackets, as in http://\[::1\]:8000"):
        Endpoint.parse(url)


def test_the_token_goes_into_the_header_and_nowhere_else() -> None:
    endpoint = Endpoint.parse("http://h", " secret\n")
    assert endpoint.headers == {"Authorization": "Bearer secret"}
    assert "secret" not in repr(endpoint)
    assert Endpoint.parse("http://h", "").headers == {}


@pytest.mark.parametrize("token", ["a\nb", "schlüssel"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequest, match="token"):
        Endpoint.parse("http://h", token)
