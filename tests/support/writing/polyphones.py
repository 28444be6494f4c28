"""Mandarin sentences with the readings that they decide, and what espeak-ng says of such."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

_MARKED: Final = re.compile(r"([^{}])(?:\{([a-z]+[1-5])\})?")

SENTENCES: Final = Path(__file__).with_suffix(".txt").read_text("utf-8").split()
"""A character is followed by its reading in braces, where the sentence decides it."""

_SCRIPT: Final = """
import json, sys
from cosyserve.engine.embedded.espeak.installation import make_data, remove_data
from cosyserve.engine.embedded.espeak.library import Espeak
from cosyserve.engine.embedded.espeak.mandarin import Mandarin, load_phrases
from cosyserve.engine.embedded.espeak.installation import find_espeak

espeak_files = find_espeak()
data = make_data(espeak_files.data)
try:
    espeak = Espeak(espeak_files.library, data)
    espeak.set_voice("cmn")
    mandarin = Mandarin(espeak.phoneme_names, load_phrases() if sys.argv[1] == "phrases" else {})
    for text in json.load(sys.stdin):
        given = text if sys.argv[1] == "alone" else mandarin.respelled(text)[0]
        print(json.dumps([given, espeak.phoneme_names(given)]))
finally:
    remove_data(data)
"""


def parsed(sentence: str) -> tuple[str, dict[int, str]]:
    """A sentence's text, and readings by the places of their characters."""
    text, readings = "", {}
    for char, reading in _MARKED.findall(sentence):
        if reading:
            readings[len(text)] = reading
        text += char
    return text, readings


def said(texts: list[str], how: str = "phrases") -> list[tuple[str, str]]:
    """What espeak-ng is given for each text, and the names of the phonemes that it makes of that.

    how: "phrases", "contexts" (as without pypinyin), or "alone" (the text as it is). In a process of its
    own, since espeak-ng changes the working directory.
    """
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, how],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )
    return [(given, names) for given, names in map(json.loads, done.stdout.splitlines())]


def syllables(names: str) -> list[str]:
    """The syllables of phoneme names, one each up to and with its tone."""
    return re.findall(r".*?(?:55|35|214|51|11)", re.sub(r"[',|% ]|_[:!|]?", "", names))
