from pathlib import Path

from cosyserve.engine.embedded.installation import (
    DEFINITIONS,
    PITCH_STEPS,
    find_espeak,
    make_data,
    pitched,
    remove_data,
)


def test_the_data_folder_has_all_data_and_our_definitions() -> None:
    installed = Path(find_espeak().data)
    data = Path(make_data(str(installed)))
    try:
        assert {entry.name for entry in data.iterdir()} == {e.name for e in installed.iterdir()}
        assert (data / "phondata").read_bytes() == (installed / "phondata").read_bytes()
        for name in DEFINITIONS:
            for step in PITCH_STEPS:
                text = (data / "voices" / "!v" / pitched(name, step)).read_text()
                assert "\nflutter 0\nroughness 0\n" in text
    finally:
        remove_data(str(data))
    assert not data.parent.exists()
    assert (installed / "phondata").exists()
    remove_data(str(data))
