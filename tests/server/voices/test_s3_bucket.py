from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cosyserve.protocol.errors import EngineUnavailable
from cosyserve.server.voices import S3Options
from cosyserve.server.voices.s3_bucket import Bucket
from support.peers.references import SOUND
from support.peers.s3 import options


async def request_to(settings: S3Options) -> Any:
    """The signed request of a put, taken before it is sent."""
    bucket = Bucket(settings)
    await bucket._connect()
    taken = []

    async def take(request: Any, **_: object) -> None:
        taken.append(request)
        raise TimeoutError

    bucket._client.meta.events.register("before-send.s3", take)
    with pytest.raises(EngineUnavailable):
        await bucket.put("key", SOUND)
    await bucket.close()
    return taken[0]


async def test_requests_are_such_as_alibaba_oss_takes() -> None:
    settings = S3Options(
        "voices",
        endpoint_url="https://s3.oss-cn-hangzhou.aliyuncs.com",
        region="cn-hangzhou",
        access_key="key",
        secret_key="secret",
    )
    request = await request_to(settings)
    assert request.url == "https://voices.s3.oss-cn-hangzhou.aliyuncs.com/key"
    sent = {name.lower(): value for name, value in request.headers.items()}
    assert b"AWS4-HMAC-SHA256" in sent["authorization"]
    assert sent["x-amz-content-sha256"] == b"UNSIGNED-PAYLOAD"
    assert sent["content-length"] in ("1024", b"1024")
    assert not {"content-encoding", "transfer-encoding", "x-amz-trailer"} & set(sent)
    assert [name for name in sent if "checksum" in name] == []

    request = await request_to(replace(settings, signature="v2"))
    assert request.headers["Authorization"].startswith((b"AWS key:", "AWS key:"))


async def test_plain_http_signs_the_body_and_the_path_may_name_the_bucket() -> None:
    settings = options("http://minio:9000", "voices")
    request = await request_to(settings)
    assert request.url == "http://minio:9000/voices/key"
    assert len(request.headers["X-Amz-Content-SHA256"]) == 64


def test_options_keep_the_secret_to_themselves() -> None:
    assert "hush" not in repr(S3Options("bucket", access_key="key", secret_key="hush"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"bucket": ""}, "empty"), ({"bucket": "b", "access_key": "key"}, "both")],
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        S3Options(**wrong)


@pytest.mark.parametrize(
    ("prefix", "root"), [("", ""), ("/", ""), ("a", "a/"), ("a/b/", "a/b/"), ("/a//", "a/")]
)
def test_the_prefix_ends_with_one_slash(prefix: str, root: str) -> None:
    assert S3Options("bucket", prefix).root == root
