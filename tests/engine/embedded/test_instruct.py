import pytest

from cosyserve.engine.embedded.voices import Style, read_instruction


@pytest.mark.parametrize(
    "instruct",
    ["Speak faster, please.", "very quickly", "说得快一点", "请用较快的语速", "加快速度"],
)
def test_faster(instruct: str) -> None:
    assert read_instruction(instruct).speed > 1.05


@pytest.mark.parametrize("instruct", ["slowly", "a bit slower", "慢一点说", "语速慢"])
def test_slower(instruct: str) -> None:
    assert read_instruction(instruct).speed < 0.95


@pytest.mark.parametrize(
    ("instruct", "sign"),
    [("Louder!", 1), ("大声说", 1), ("softly", -1), ("轻声地", -1), ("quiet", -1), ("小声", -1)],
)
def test_loudness(instruct: str, sign: int) -> None:
    style = read_instruction(instruct)
    assert (style.volume > 1) == (sign > 0)
    assert style.volume != 1


@pytest.mark.parametrize(
    ("instruct", "sign"),
    [("in a higher pitch", 1), ("音调高一点", 1), ("a deep voice", -1), ("低沉的声音", -1)],
)
def test_pitch(instruct: str, sign: int) -> None:
    style = read_instruction(instruct)
    assert style.pitch * sign > 0
    assert style.volume == 1


def test_moods_whisper_and_dialects() -> None:
    assert read_instruction("calm").pitch_range < 50
    assert read_instruction("用兴奋的语气").pitch_range > 50
    assert read_instruction("用高兴的语气说").speed > 1
    assert read_instruction("whisper it").whisper
    assert read_instruction("Speak Cantonese").han == "yue"
    assert read_instruction("用广东话说这句话").han == "yue"
    assert read_instruction("用普通话").han == "cmn"


def test_degrees() -> None:
    speeds = [read_instruction(f"{word} fast").speed for word in ("slightly", "", "very")]
    assert speeds == sorted(set(speeds))


@pytest.mark.parametrize(
    "instruct",
    ["", "like a pirate", "breakfast", "用四川话说", "快乐", "Belowground", "highlander"],
)
def test_the_rest_is_passed_over(instruct: str) -> None:
    style = read_instruction(instruct)
    assert style == Style() or instruct == "快乐"
    assert not style.whisper
