"""From this dialect's parameters to SpeechParameters.

Parameters without a meaning here are ignored if a listener would not miss them (language_hints, type,
enable_markdown_filter, phoneme timestamps).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from ..errors import ModelNotFound
from ..fields import JsonObject, number, optional, refusal, required, shown
from ..parameters import (
    BIT_RATES,
    OPUS_SAMPLE_RATES,
    SAMPLE_RATES,
    Mode,
    SpeechParameters,
)
from ..parameters import AudioFormat as Format
from ..phrases import LONGEST_PHRASE, LONGEST_SPOKEN, Pronunciation, Replacement, Rule

WHERE: Final = "payload.parameters"
MODEL: Final = re.compile(r"cosyvoice[\w.-]{0,64}", re.ASCII | re.IGNORECASE)
FORMATS: Final = ("wav", "mp3", "pcm", "opus", "aac", "flac")
DEFAULT_FORMAT: Final = Format.MP3
DEFAULT_RATE: Final = 22050
FULL_VOLUME: Final = 50
MOST_FIXED: Final = 50
SILENT: Final = 1e-4  # -80 dB: volume 0 is a stream of silence, not an error
_LEAST_BITS_PER_SECOND: Final = 1000


def check_model(model: str, where: str = "payload.model") -> str:
    """The model's name, if it is a CosyVoice of any generation. Raises ModelNotFound."""
    if MODEL.fullmatch(model) is None:
        allowed = "cosyvoice-v1, cosyvoice-v2, cosyvoice-v3 and their kin"
        raise ModelNotFound(f"{where}: no model {shown(model)} here; allowed: {allowed}")
    return model


def speech_parameters(given: JsonObject, where: str = WHERE) -> SpeechParameters:
    """What the parameters ask for. where: their path in the message.

    Raises InvalidParameter, which names the parameter.
    """
    kind = optional(given, "text_type", str, where) or "PlainText"
    if kind not in ("PlainText", "SSML"):
        raise refusal(f"{where}.text_type", kind, "PlainText or SSML")
    instruct = (optional(given, "instruction", str, where) or "").strip()
    if len(instruct) > 1000:
        raise refusal(f"{where}.instruction", instruct, "at most 1000 characters")
    output_format = _format(given, where)
    return SpeechParameters(
        mode=Mode.NATURAL_LANGUAGE if instruct else Mode.FAST,
        instruct=instruct,
        reference_audio_id=_voice(given, where),
        output_format=output_format,
        sample_rate=_sample_rate(given, output_format, where),  # type: ignore[arg-type]
        bit_rate=_bit_rate(given, output_format, where),  # type: ignore[arg-type]
        volume=volume(given, where),
        speed=factor(given, "rate", where),
        pitch=factor(given, "pitch", where),
        seed=_seed(given, where),
        audio_transport="binary",
        enable_ssml=kind == "SSML" or bool(optional(given, "enable_ssml", bool, where)),
        word_timestamp_enabled=bool(optional(given, "word_timestamp_enabled", bool, where)),
        pronunciations=_fixes(given, where),
    )


def _fixes(given: JsonObject, where: str) -> tuple[Rule, ...]:
    """What hot_fix says of phrases; the last of the same phrase counts."""
    fix, where = optional(given, "hot_fix", dict, where) or {}, f"{where}.hot_fix"
    replaced = _pairs(fix, "replace", "WHAT IS SPOKEN", where)
    pronounced = _pairs(fix, "pronunciation", "PINYIN OR PHONEMES", where)
    rules: list[Rule] = []
    for phrase, (sounds, path) in pronounced.items():
        if phrase in replaced:
            raise refusal(path, phrase, f"a phrase that is not in {where}.replace as well")
        if not phrase.strip() or not sounds.strip():
            raise refusal(path, {phrase: sounds}, "a word, and pinyin or phonemes for it")
        rules.append(Pronunciation(phrase, _alphabet(sounds), sounds.strip(), path))
    rules += [Replacement(phrase, spoken) for phrase, (spoken, _) in replaced.items()]
    return tuple(rules)


def _pairs(fix: JsonObject, name: str, meaning: str, where: str) -> dict[str, tuple[str, str]]:
    """The phrases of a list in hot_fix, each with what stands beside it, and the path of both."""
    pairs, where = fix.get(name), f"{where}.{name}"
    if pairs is None:
        return {}
    if not isinstance(pairs, list) or len(pairs) > MOST_FIXED:
        allowed = f'a list of at most {MOST_FIXED}, each {{"PHRASE": "{meaning}"}}'
        raise refusal(where, pairs, allowed)
    found: dict[str, tuple[str, str]] = {}
    for index, pair in enumerate(pairs):
        match list(pair.items()) if isinstance(pair, dict) else None:
            case [(str(phrase), str(spoken))] if (
                1 <= len(phrase) <= LONGEST_PHRASE and len(spoken) <= LONGEST_SPOKEN
            ):
                found[phrase] = spoken, f"{where}.{index}"
            case _:
                allowed = (
                    f"a phrase of 1 to {LONGEST_PHRASE} characters with up to {LONGEST_SPOKEN}"
                )
                raise refusal(f"{where}.{index}", pair, allowed)
    return found


_PINYIN: Final = re.compile(r"(?:[a-zü:]+[0-5]\s*)+", re.IGNORECASE)
_TONE_MARKS: Final = re.compile("[\u0300\u0301\u0304\u030c]")
_ARPABET: Final = re.compile(r"[A-Z]{1,2}[0-2]?(?:\s+[A-Z]{1,2}[0-2]?)*")


def _alphabet(sounds: str) -> str:
    """Which alphabet this is: pinyin has tones, ARPAbet is in capitals, all else is IPA."""
    sounds = sounds.strip()
    if _ARPABET.fullmatch(sounds):
        return "cmu-arpabet"
    marked = _TONE_MARKS.search(unicodedata.normalize("NFD", sounds))
    return "py" if marked or _PINYIN.fullmatch(sounds) else "ipa"


def _voice(given: JsonObject, where: str) -> str:
    voice = required(given, "voice", str, where)
    if not 1 <= len(voice) <= 128:
        raise refusal(f"{where}.voice", voice, "the id or the name of a voice, 1 to 128 characters")
    return voice


def _format(given: JsonObject, where: str) -> Format:
    name = (optional(given, "format", str, where) or "default").lower()
    if name == "default":
        return DEFAULT_FORMAT
    if name not in FORMATS:
        raise refusal(f"{where}.format", given["format"], ", ".join(FORMATS))
    return Format(name)


def _sample_rate(given: JsonObject, output_format: Format, where: str) -> int:
    rate = optional(given, "sample_rate", int, where) or DEFAULT_RATE
    if rate not in SAMPLE_RATES:
        raise refusal(f"{where}.sample_rate", rate, ", ".join(map(str, SAMPLE_RATES)))
    if output_format is Format.OPUS:  # any decoder gives any rate: the codec's next one up
        return next(each for each in OPUS_SAMPLE_RATES if each >= rate)
    return rate


def _bit_rate(given: JsonObject, output_format: Format, where: str) -> str:
    """kbit/s for opus, as the service has it; the others are as good as their rates allow."""
    if output_format is not Format.OPUS:
        return "256k"
    return bit_rate(given, where, 32)


def bit_rate(given: JsonObject, where: str, default: int) -> str:
    """The nearest bit rate that is written to the one asked for, in kbit/s. Raises InvalidParameter."""
    asked = optional(given, "bit_rate", int, where) or default
    rate = asked / 1000 if asked >= _LEAST_BITS_PER_SECOND else asked
    if not 6 <= rate <= 510:
        raise refusal(f"{where}.bit_rate", asked, "6 to 510 (kbit/s)")
    return min(BIT_RATES, key=lambda each: abs(int(each.removesuffix("k")) - rate))


def volume(given: JsonObject, where: str) -> float:
    """The factor of loudness that a volume of 0 to 100 means. Raises InvalidParameter."""
    asked = number(given, "volume", where, FULL_VOLUME)
    if not 0 <= asked <= 100:
        raise refusal(f"{where}.volume", given["volume"], "0 to 100")
    return max(asked / FULL_VOLUME, SILENT)


def factor(given: JsonObject, name: str, where: str) -> float:
    """A factor of speed or pitch. Raises InvalidParameter."""
    asked = number(given, name, where, 1.0)
    if not 0.5 <= asked <= 2.0:
        raise refusal(f"{where}.{name}", given[name], "0.5 to 2.0")
    return asked


def _seed(given: JsonObject, where: str) -> int | None:
    seed = optional(given, "seed", int, where)
    if seed is not None and not 0 <= seed <= 65535:
        raise refusal(f"{where}.seed", seed, "0 to 65535")
    return seed
