"""`cosyserve say`: speak a text into a file, a pipe or the loudspeaker.

Where `cosyserve say` has its text from: an argument, a file, or standard input as it comes.
"""

from __future__ import annotations

import argparse
import asyncio
import codecs
import os
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from cosyserve.protocol.parameters import BIT_RATES, SAMPLE_RATES, AudioFormat, Mode

from ..errors import InvalidRequest
from ..speech import Speech
from .options import (
    EXIT_CODES,
    Progress,
    add_connection_options,
    chosen_voice,
    make_client,
    run_command,
)
from .output import SoundOutput, choose_format, open_output

PIECE: Final = 1000  # characters per message: small enough for every limit on a message


async def from_string(text: str) -> AsyncIterator[str]:
    """The text in pieces that any server takes."""
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
    reads ahead by one piece. Bytes that are no UTF-8 become U+FFFD.
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
    source.add_argument("text", nargs="?", help="the text; - is standard input")
    source.add_argument("--file", "-f", type=Path, help="a UTF-8 file with the text")
    parser.add_argument("--output", "-o", metavar="FILE", help="- is standard output; else play it")
    _add_voice_options(parser)
    _add_speech_options(parser)
    add_connection_options(parser, environ)
    return parser


def _add_voice_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("voice")
    group.add_argument(
        "--voice",
        metavar="VOICE",
        help="a clip to upload, or a voice's id or name; else the server's first voice",
    )
    group.add_argument("--voice-text", metavar="WORDS", help="what is spoken in the clip")
    group.add_argument(
        "--voice-sample-rate", type=int, metavar="HZ", help="of a clip that is raw 16-bit PCM"
    )
    group.add_argument(
        "--keep-voice", action="store_true", help="leave the clip on the server for the next time"
    )


def _add_speech_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("speech")
    group.add_argument(
        "--mode",
        choices=[mode.value for mode in Mode],
        help="else fast_replication, with --instruct natural_language_replication",
    )
    group.add_argument("--instruct", default="", metavar="WORDS", help="how to speak, in words")
    group.add_argument(
        "--format", choices=[form.value for form in AudioFormat], help="else by the file's suffix"
    )
    group.add_argument("--sample-rate", type=int, choices=SAMPLE_RATES, default=24000, help="Hz")
    group.add_argument("--bit-rate", choices=BIT_RATES, default="192k", help="of lossy formats")
    group.add_argument("--volume", type=float, default=1.0, help="above 0, up to 10")
    group.add_argument("--speed", type=float, default=1.0, help="0.5 to 2.0")
    group.add_argument("--pitch", type=float, default=1.0, help="0.5 to 2.0")
    group.add_argument("--ssml", action="store_true", help="the text is an SSML document")
    group.add_argument("--seed", type=int, help="the same seed speaks the same way again")
    group.add_argument("--model", default="cosyvoice-v2")
    group.add_argument("--transport", choices=["binary", "base64"], default="binary")


async def _say(options: argparse.Namespace) -> None:
    text = _text(options)
    output_format = choose_format(options.output, options.format)
    output = open_output(options.output, options.sample_rate)
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
                output_format=output_format,
                sample_rate=options.sample_rate,
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
            await _speak(speech, text, output)
        whole = True
    finally:
        await output.close(aborted=not whole)


async def _speak(speech: Speech, text: AsyncIterator[str], output: SoundOutput) -> None:
    """Feed and listen at once, to the end of both."""
    progress = Progress(sys.stderr)
    feeding = asyncio.create_task(speech.feed_all(text))
    try:
        async for chunk in speech:
            await output.write(chunk.data)
            progress.update(speech.metrics)
    finally:
        feeding.cancel()
        await asyncio.wait([feeding])
        progress.close()


def _text(options: argparse.Namespace) -> AsyncIterator[str]:
    """Raises InvalidRequest."""
    if options.file is not None:
        return from_file(options.file)
    if options.text not in (None, "-"):
        return from_string(options.text)
    if options.text is None and sys.stdin.isatty():
        raise InvalidRequest("what to say? Give a text, --file FILE, or - to type it")
    return from_descriptor(sys.stdin.fileno())
