"""Paths with slashes too many."""

from __future__ import annotations

import pytest

from cosyserve.server.port.request_target import tidy_head, tidy_target


@pytest.mark.parametrize(
    ("target", "tidy"),
    [
        ("/", "/"),
        ("//", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b"),
        ("//a///b//", "/a/b"),
        ("//a/?x=//b/", "/a?x=//b/"),
        ("/a%2F%2Fb/", "/a%2F%2Fb"),
        ("http://host:80//a//b/?q", "http://host:80/a/b?q"),
        ("http://host", "http://host"),
        ("host:443", "host:443"),
        ("*", "*"),
    ],
)
def test_a_target(target: str, tidy: str) -> None:
    assert tidy_target(target) == tidy


@pytest.mark.parametrize(
    ("head", "tidy"),
    [
        (
            b"POST //v1//a/ HTTP/1.1\r\nHost: //x/\r\n\r\n{}",
            b"POST /v1/a HTTP/1.1\r\nHost: //x/\r\n\r\n{}",
        ),
        (b"GET /\xff//a HTTP/1.1\r\n\r\n", b"GET /\xff/a HTTP/1.1\r\n\r\n"),
        (b"GET //a", b"GET //a"),
        (b"GET //a b HTTP/1.1\r\n\r\n", b"GET //a b HTTP/1.1\r\n\r\n"),
        (b"\x16\x03\x01", b"\x16\x03\x01"),
    ],
)
def test_only_the_target_of_a_whole_request_line_changes(head: bytes, tidy: bytes) -> None:
    assert tidy_head(head) == tidy
