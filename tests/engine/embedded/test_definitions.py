from pathlib import Path

from cosyserve.engine.embedded.installation import (
    DEFINITIONS,
    STEPS,
    find_library,
    make_data,
    moved,
    remove_data,
)


def test_the_data_folder_has_all_data_and_our_definitions() -> None:
    installed = Path(find_library().data)
    data = Path(make_data(str(installed)))
    try:
        assert {entry.name for entry in data.iterdir()} == {e.name for e in installed.iterdir()}
        assert (data / "phondata").read_bytes() == (installed / "phondata").read_bytes()
        for name in DEFINITIONS:
            for step in STEPS:
                text = (data / "voices" / "!v" / moved(name, step)).read_text()
                assert "\nflutter 0\nroughness 0\n" in text
    finally:
        remove_data(str(data))
    assert not data.parent.exists()
    assert (installed / "phondata").exists()
    remove_data(str(data))
