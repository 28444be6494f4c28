"""`cosyserve say`: speak a text into a file, a pipe or the loudspeaker.

The text comes from an argument, a file, or standard input as it is written. The voice is a clip to
upload, a reference, or one of the server's own. A terminal shows one line about the speech.
"""

from __future__ import annotations

import argparse
import asyncio
import codecs
import hashlib
import os
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

from cosyserve.protocol.parameters import BIT_RATES, SAMPLE_RATES, AudioFormat, Mode

from ..client import Client
from ..errors import ClientError, InvalidRequest, NotFound
from ..rest import ReferenceAudio
from ..speech import Speech, SpeechMetrics
from .options import EXIT_CODES, add_connection_options, make_client, run_command
from .output import SoundOutput, open_output

PIECE: Final = 1000
"""Characters of a message: within every limit on a message."""
HEARD_TIMEOUT: Final = 2.0
"""Seconds to wait for the server's word on what was heard."""
LONGEST_HEARD: Final = 60
"""Characters of the text that are shown of what was heard."""


def main(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Run with the arguments after `say`; returns the exit code."""
    options = _parser(environ).parse_args(argv)
    return run_command(_say(options))


def _parser(environ: Mapping[str, str] | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cosyserve say",
        description="Speak a text. Standard input is spoken as it is typed or piped in.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("text", nargs="?", help="the text; - for standard input")
    source.add_argument("--file", "-f", type=Path, help="a UTF-8 file with the text")
    parser.add_argument(
        "--output",
        "-o",
        metavar="FILE",
        help="write the sound; - for standard output (default: play)",
    )
    _add_voice_options(parser)
    _add_speech_options(parser)
    add_connection_options(parser, environ)
    return parser


def _add_voice_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("voice")
    group.add_argument(
        "--voice",
        metavar="VOICE",
        help="a clip to upload, or a voice's id or name (default: the server's first voice)",
    )
    group.add_argument("--voice-text", metavar="WORDS", help="the words spoken in the clip")
    group.add_argument(
        "--voice-sample-rate",
        type=int,
        metavar="HZ",
        help="sample rate of a clip of raw 16-bit PCM",
    )
    group.add_argument(
        "--keep-voice", action="store_true", help="leave the clip on the server for later calls"
    )


def _add_speech_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("speech")
    group.add_argument(
        "--mode",
        choices=[mode.value for mode in Mode],
        help="default: natural_language_replication with --instruct, else fast_replication",
    )
    group.add_argument(
        "--instruct", default="", metavar="WORDS", help="the manner of speaking, in words"
    )
    group.add_argument(
        "--format",
        choices=[form.value for form in AudioFormat],
        help="of the sound (default: by the suffix of FILE; wav for -)",
    )
    group.add_argument(
        "--sample-rate",
        type=int,
        choices=SAMPLE_RATES,
        help="Hz (default: 24000; formats with ulaw and alaw have 8000 only)",
    )
    group.add_argument(
        "--bit-rate", choices=BIT_RATES, default="192k", help="of lossy formats (default: 192k)"
    )
    group.add_argument("--volume", type=float, default=1.0, help="a factor above 0, up to 10")
    group.add_argument("--speed", type=float, default=1.0, help="a factor from 0.5 to 2.0")
    group.add_argument("--pitch", type=float, default=1.0, help="a factor from 0.5 to 2.0")
    group.add_argument("--ssml", action="store_true", help="the text is an SSML document")
    group.add_argument("--seed", type=int, help="the same seed speaks the same way again")
    group.add_argument("--model", default="cosyvoice-v2", help="default: cosyvoice-v2")
    group.add_argument(
        "--transport", choices=["binary", "base64"], default="binary", help="of the sound"
    )


async def _say(options: argparse.Namespace) -> None:
    text = _text(options)
    output = open_output(options.output, options.format, options.sample_rate)
    whole = False
    try:
        async with (
            make_client(options) as client,
            chosen_voice(
                client,
                options.voice,
                text=options.voice_text,
                sample_rate=options.voice_sample_rate,
                keep=options.keep_voice,
            ) as voice,
            client.speech(
                voice=voice,
                mode=options.mode,
                instruct=options.instruct,
                output_format=output.stream_format,
                sample_rate=output.sample_rate,
                bit_rate=options.bit_rate,
                volume=options.volume,
                speed=options.speed,
                pitch=options.pitch,
                ssml=options.ssml,
                seed=options.seed,
                audio_transport=options.transport,
                model=options.model,
            ) as speech,
        ):
            await speak(speech, text, output, plain=not options.ssml)
        whole = True
    finally:
        await output.close(aborted=not whole)


async def speak(
    speech: Speech, text: AsyncIterator[str], output: SoundOutput, *, plain: bool
) -> None:
    """Feed and listen at once, to the end of both.

    A listener who interrupts is told what was heard. plain: the text is not SSML.
    """
    progress = Progress(sys.stderr)
    fed: list[str] = []
    feeding = asyncio.create_task(speech.feed_all(_noted(text, fed)))
    try:
        async for chunk in speech:
            await output.write(chunk.data)
            progress.update(speech.metrics)
    except asyncio.CancelledError:
        if output.played is not None:
            await _tell_heard(speech, output.played, "".join(fed) if plain else "")
        raise
    finally:
        feeding.cancel()
        await asyncio.wait([feeding])
        progress.close()


async def _noted(text: AsyncIterator[str], notes: list[str]) -> AsyncIterator[str]:
    async for piece in text:
        notes.append(piece)
        yield piece


async def _tell_heard(speech: Speech, played: float, text: str) -> None:
    """Stop the speech, and write to stderr what was heard; a server that cannot tell is no failure."""
    with suppress(ClientError, TimeoutError):
        async with asyncio.timeout(HEARD_TIMEOUT):
            await speech.cancel(played=played)
            await speech.wait()
    if heard := speech.metrics.heard:
        about = "about " if heard.estimated else ""
        last = text[: heard.text_end].rstrip()[-LONGEST_HEARD:]
        place = f'"{last}"' if last else f"character {heard.text_end}"
        print(f"\nheard {heard.played:.1f} s, {about}up to {place}", file=sys.stderr)


def _text(options: argparse.Namespace) -> AsyncIterator[str]:
    """The text in pieces, from where the options say. Raises InvalidRequest."""
    if options.file is not None:
        return from_file(options.file)
    if options.text not in (None, "-"):
        return from_string(options.text)
    if options.text is None and sys.stdin.isatty():
        raise InvalidRequest("no text to speak: give a text, --file FILE, or - to type it")
    return from_descriptor(sys.stdin.fileno())


async def from_string(text: str) -> AsyncIterator[str]:
    """The text in pieces of at most PIECE characters."""
    for begin in range(0, len(text), PIECE):
        yield text[begin : begin + PIECE]


async def from_file(path: Path) -> AsyncIterator[str]:
    """A UTF-8 file's text. Raises InvalidRequest."""
    try:
        text = await asyncio.to_thread(path.read_text, "utf-8")
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path} is not UTF-8: byte {error.start}") from None
    async for piece in from_string(text):
        yield piece


async def from_descriptor(descriptor: int) -> AsyncIterator[str]:
    """UTF-8 text from a pipe, terminal or file, each piece as soon as it can be read.

    A daemon thread does the reading, because a read from a terminal cannot be interrupted; it
    reads ahead by one piece. Bytes that are not UTF-8 become U+FFFD.
    """
    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    taken = threading.Semaphore(2)
    loop = asyncio.get_running_loop()
    arguments = (descriptor, loop, pieces, taken)
    threading.Thread(target=_read, args=arguments, name="stdin", daemon=True).start()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while data := await pieces.get():
        taken.release()
        if text := decoder.decode(data):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text


def _read(
    descriptor: int,
    loop: asyncio.AbstractEventLoop,
    pieces: asyncio.Queue[bytes],
    taken: threading.Semaphore,
) -> None:
    data = b"more"
    while data:
        taken.acquire()
        try:
            data = os.read(descriptor, PIECE)
        except OSError:
            data = b""
        try:
            loop.call_soon_threadsafe(pieces.put_nowait, data)
        except RuntimeError:  # the loop is closed: nobody waits for text any more
            return


@asynccontextmanager
async def chosen_voice(
    client: Client,
    voice: str | None,
    *,
    text: str | None = None,
    sample_rate: int | None = None,
    keep: bool = False,
) -> AsyncIterator[str]:
    """The id of the voice. A clip that was uploaded here is deleted at the end, unless `keep`.

    voice: a file, an id, a name, or None for the server's first voice.
    text: the words spoken in the file. sample_rate: Hz, if the file is raw PCM.
    Raises InvalidRequest and what REST calls raise.
    """
    if voice is None or not await asyncio.to_thread(Path(voice).is_file):
        yield await _known_voice(client, voice)
        return
    if not text:
        raise InvalidRequest(f"give the words spoken in {voice} with --voice-text")
    reference, uploaded = await _uploaded(client, Path(voice), text, sample_rate)
    try:
        yield reference.id
    except BaseException:
        if uploaded and not keep:
            # The first failure says more than one of the deletion would.
            with suppress(ClientError):
                await client.references.delete(reference.id)
        raise
    if uploaded and not keep:
        with suppress(NotFound):  # another client has deleted it
            await client.references.delete(reference.id)


async def _known_voice(client: Client, voice: str | None) -> str:
    if voice is not None and ("/" in voice or "\\" in voice):
        raise InvalidRequest(f"there is no file {voice}, and no voice can have this name")
    voices = await client.voices()
    if voice is None:
        if not voices:
            raise InvalidRequest(
                "this server has no voice of its own: give a clip with --voice and --voice-text"
            )
        return voices[0].id
    for known in voices:
        if voice.casefold() in (known.id.casefold(), known.name.casefold()):
            return known.id
    return voice


async def _uploaded(
    client: Client, path: Path, text: str, sample_rate: int | None
) -> tuple[ReferenceAudio, bool]:
    """The reference made of a clip, and whether this call uploaded it.

    The file name of an upload holds a digest of its bytes, by which an equal one is found in the list.
    """
    try:
        data = await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}") from None
    digest = hashlib.sha256(data + str(sample_rate).encode()).hexdigest()[:16]
    filename = f"{path.stem}-{digest}{path.suffix}"
    for reference in await client.references.list(limit=1000):
        if (reference.filename, reference.bytes, reference.text) == (filename, len(data), text):
            return reference, False
    added = await client.references.add(data, text, filename=filename, sample_rate=sample_rate)
    return added, True


def summary(metrics: SpeechMetrics) -> str:
    """Seconds of speech, the delay of the first package, the real-time factor, as far as known."""
    parts = [f"{metrics.speech_len:.1f} s of speech"]
    if metrics.first_package is not None:
        parts.append(f"first package {metrics.first_package * 1000:.0f} ms")
    if metrics.real_time_factor is not None:
        parts.append(f"real-time factor {metrics.real_time_factor:.2f}")
    return ", ".join(parts)


class Progress:
    """Rewrites one line of a terminal in place; writes nothing to any other stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = stream.isatty()

    def update(self, metrics: SpeechMetrics) -> None:
        if self._shown:
            self._stream.write(f"\r\x1b[K{summary(metrics)}")
            self._stream.flush()

    def close(self) -> None:
        """Leave the last line standing."""
        if self._shown:
            self._stream.write("\n")
            self._stream.flush()
