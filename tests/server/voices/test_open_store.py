from __future__ import annotations

from pathlib import Path

import pytest

from cosyserve.server.voices import LocalStore, S3Store, open_store


@pytest.mark.parametrize(
    ("place", "folder"),
    [
        ("/var/lib/clips", Path("/var/lib/clips")),
        ("clips", Path("clips")),
        ("~/clips", Path.home() / "clips"),
        ("file:///var/lib/my%20clips", Path("/var/lib/my clips")),
        ("file://localhost/var/lib/clips", Path("/var/lib/clips")),
    ],
)
def test_a_path_is_a_folder(place: str, folder: Path) -> None:
    store = open_store(place, endpoint=None, path_style=False)
    assert isinstance(store, LocalStore)
    assert store._folder == folder


@pytest.mark.parametrize(
    ("place", "bucket", "root"),
    [
        ("s3://voices", "voices", ""),
        ("s3://voices/", "voices", ""),
        ("s3://voices/a/b", "voices", "a/b/"),
    ],
)
def test_an_s3_url_is_a_bucket(place: str, bucket: str, root: str) -> None:
    store = open_store(place, endpoint="https://s3.test", region="r", path_style=True)
    assert isinstance(store, S3Store)
    used = store._options
    assert (used.bucket, used.root) == (bucket, root)
    assert (used.endpoint, used.region, used.path_style) == ("https://s3.test", "r", True)


@pytest.mark.parametrize(
    "place",
    [
        "",
        "gs://voices",
        "http://host/clips",
        "file://clips",
        "file://host/clips",
        "s3://",
        "s3:///a",
    ],
)
def test_another_place_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match=r"must be|three slashes|empty"):
        open_store(place)


def test_access_settings_do_not_fit_a_folder() -> None:
    with pytest.raises(ValueError, match="path_style, region: only with a bucket"):
        open_store("clips", region="r", path_style=True)
