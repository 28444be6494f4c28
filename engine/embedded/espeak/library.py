"""The espeak-ng library through ctypes: one voice, one thread, one process.

The library keeps all its state in globals and crashes if two threads use it, so this runs in worker
processes only. Facts of its C interface: espeak-ng's speak_lib.h.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from ..sound import WordMark

SAMPLE_RATE = 22050

_SYNCHRONOUS = 2
_BUFFER_MS = 60
_DO_NOT_EXIT = 0x8000
_UTF8 = 1  # no markup (0x10), nor brackets where none are asked for: text is only ever text
_PHONEMES = 0x100
_END_OF_LIST, _WORD = 0, 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4


class EspeakProsody(NamedTuple):
    """Settings of a voice. rate: words a minute, 80 to 449. pitch, pitch_range: 0 to 99. volume: 0 to 200."""

    rate: int
    pitch: int
    pitch_range: int
    volume: int


Sink = Callable[[bytes, list[WordMark]], bool]
"""Takes 16-bit PCM and the word events in it; returns whether to go on."""


class EspeakError(Exception):
    """The library or its data cannot be used."""


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_int64),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Espeak:
    """The library, loaded and initialised; at most one per process.

    The same text, voice, prosody and seed give the same samples, whatever was spoken before, with
    voices whose definition says "flutter 0" and "roughness 0"; others differ slightly.

    Changes the working directory to that of the data, because the library truncates longer paths.
    Raises EspeakError if the library or its data does not load.
    """

    def __init__(self, library: str, data: str) -> None:
        try:
            self._library = ctypes.CDLL(library)
            os.chdir(os.path.dirname(data))
        except OSError as error:
            raise EspeakError(str(error)) from error
        rate = self._library.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, b".", _DO_NOT_EXIT)
        if rate != SAMPLE_RATE:
            raise EspeakError(f"espeak_Initialize answered {rate}")
        self._library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        self._library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        self._library.espeak_TextToPhonemes.argtypes = [
            ctypes.POINTER(ctypes.c_char_p),
            ctypes.c_int,
            ctypes.c_int,
        ]
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._sink: Sink | None = None
        self._error: BaseException | None = None
        self._callback = _Callback(self._on_sound)  # must live as long as the library may call it
        self._library.espeak_SetSynthCallback(self._callback)

    def set_voice(self, name: str) -> bool:
        """Select a voice: a language, `+` and a variant. Returns False if there is no such language.

        Call it before every text, even with the same voice: it also silences the echo of the last text.
        """
        return bool(self._library.espeak_SetVoiceByName(name.encode()) == 0)

    def phoneme_names(self, text: str) -> str:
        """The phoneme names that the selected voice has for `text`."""
        at = ctypes.c_char_p(text.encode())
        names = b""
        while at.value is not None:  # one clause after another
            names += self._library.espeak_TextToPhonemes(ctypes.byref(at), _UTF8, 0) or b""
        return names.decode()

    def speak(
        self, text: str, prosody: EspeakProsody, seed: int, sink: Sink, *, phonemes: bool = False
    ) -> None:
        """Speak `text` (no control characters: some are commands to espeak) into `sink`.

        phonemes: whether text in double brackets is phoneme names.

        Raises what `sink` raises, and EspeakError if the library refuses.
        """
        settings = zip((_RATE, _PITCH, _RANGE, _VOLUME), _ordered(prosody), strict=True)
        for parameter, value in settings:
            self._library.espeak_SetParameter(parameter, value, 0)
        self._library.espeak_ng_SetRandSeed(seed)
        data = text.encode()
        flags = _UTF8 | _PHONEMES if phonemes else _UTF8
        self._sink, self._error = sink, None
        status = self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, flags, None, None)
        self._sink = None
        if self._error is not None:
            raise self._error
        if status != 0:
            raise EspeakError(f"espeak_Synth answered {status}")

    def _on_sound(self, samples: Any, count: int, events: Any) -> int:
        if self._sink is None or self._error is not None:
            return 1
        words = []
        index = 0
        while (event := events[index]).type != _END_OF_LIST:
            if event.type == _WORD:
                words.append(WordMark(event.sample, event.text_position - 1))
            index += 1
        pcm = ctypes.string_at(samples, 2 * count) if samples and count > 0 else b""
        try:
            return 0 if self._sink(pcm, words) else 1
        except BaseException as error:  # ctypes would print it and go on
            self._error = error
            return 1


def _ordered(prosody: EspeakProsody) -> tuple[int, int, int, int]:
    return prosody.rate, prosody.pitch, prosody.pitch_range, prosody.volume
