import pytest

from cosyserve.engine.embedded.espeak.installation import (
    DEFINITIONS,
    PITCH_STEP,
    PITCH_STEPS,
    pitched,
)
from cosyserve.engine.embedded.voices import (
    DEFAULT,
    FEMALE,
    MALE,
    WHISPER,
    Variant,
    VoiceTraits,
    at_pitch,
    builtin_traits,
    builtin_voices,
    median_hertz,
    pitch_setting,
    traits_for,
)


def test_every_builtin_voice_has_a_definition() -> None:
    assert len({voice.id for voice in builtin_voices(True)}) == len(builtin_voices(True)) >= 4
    assert {voice.gender for voice in builtin_voices(True)} == {"female", "male"}
    for voice in builtin_voices(True):
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


@pytest.mark.parametrize("setting", [0, 1, 25, 50, 66, 98, 99])
def test_median_f0_inverts_the_pitch_setting(setting: int) -> None:
    assert pitch_setting(FEMALE, median_hertz(VoiceTraits(FEMALE, setting))) == setting


@pytest.mark.parametrize("setting", [0, 50, 99])
def test_moved_voices_have_a_definition_and_the_wanted_pitch(setting: int) -> None:
    traits = VoiceTraits(MALE, setting)
    names = {pitched(MALE.name, step): PITCH_STEP**step for step in PITCH_STEPS}
    for factor in (0.5, 0.7, 0.99, 1.01, 1.3, 2.0):
        found = at_pitch(traits, factor)
        hertz = median_hertz(found) * names[found.variant.name]
        assert hertz == pytest.approx(median_hertz(traits) * factor, rel=0.01)
    assert at_pitch(traits, 1.0) is traits


def test_low_clips_get_a_male_voice_and_high_ones_a_female() -> None:
    assert traits_for(100.0).variant is MALE
    assert traits_for(210.0).variant is FEMALE
    assert traits_for(None) is DEFAULT
