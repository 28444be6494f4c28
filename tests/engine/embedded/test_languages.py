import pytest

from cosyserve.engine.embedded.espeak.installation import find_espeak
from cosyserve.engine.embedded.voices import Languages, rate_setting


@pytest.fixture(scope="module")
def languages() -> Languages:
    return Languages(find_espeak().data)


@pytest.mark.parametrize(
    ("tag", "voice"),
    [
        ("en", "en-us"),
        ("en-US", "en-us"),
        ("zh", "cmn"),
        ("zh-Hans-CN", "cmn"),
        ("yue", "yue"),
        ("ja", "ja"),
        ("pt-BR", "pt-br"),
        ("de-AT", "de"),
        ("bo", "fallback"),
    ],
)
def test_voice_of_a_tag(languages: Languages, tag: str, voice: str) -> None:
    assert languages.voice(tag, "fallback") == voice
    assert (tag in languages) == (voice != "fallback")


def test_tags_are_plain(languages: Languages) -> None:
    assert len(languages.tags) > 100
    assert {"cmn", "yue", "ja", "ru", "en-US"} <= set(languages.tags)


def test_rates_stay_in_what_the_library_speaks_without_skipping() -> None:
    assert rate_setting(1.0, "en-us") == 175
    assert rate_setting(0.01, "en-us") == 80
    assert rate_setting(50.0, "cmn") == 449
