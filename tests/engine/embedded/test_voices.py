import pytest

from cosyserve.engine.embedded.definitions import DEFINITIONS
from cosyserve.engine.embedded.voices import (
    BUILTIN_VOICES,
    DEFAULT,
    FEMALE,
    MALE,
    WHISPER,
    Variant,
    builtin_traits,
    pitch_setting,
    traits_for,
)


def test_every_builtin_voice_has_a_definition() -> None:
    assert len({voice.id for voice in BUILTIN_VOICES}) == len(BUILTIN_VOICES) >= 4
    assert {voice.gender for voice in BUILTIN_VOICES} == {"female", "male"}
    for voice in BUILTIN_VOICES:
        traits = builtin_traits(voice.id)
        assert traits is not None
        assert traits.variant.name in DEFINITIONS
        assert 0 <= traits.pitch <= 99
    assert WHISPER.name in DEFINITIONS
    assert builtin_traits("nobody") is None


@pytest.mark.parametrize("variant", [FEMALE, MALE])
def test_pitch_settings_invert_the_measured_f0(variant: Variant) -> None:
    for setting, f0 in zip((0, 25, 50, 75, 99), variant.hertz, strict=True):
        assert pitch_setting(variant, f0) == setting
    assert pitch_setting(variant, 20.0) == 0
    assert pitch_setting(variant, 900.0) == 99
    settings = [pitch_setting(variant, f0) for f0 in range(60, 400, 5)]
    assert settings == sorted(settings)


def test_low_clips_get_a_male_voice_and_high_ones_a_female() -> None:
    assert traits_for(100.0).variant is MALE
    assert traits_for(210.0).variant is FEMALE
    assert traits_for(None) is DEFAULT
