"""Tasks of the DashScope dialect from run-task to their end."""

from __future__ import annotations

from ..book import Book
from ..sound import Sound
from ..stage import Stage
from .frames import INFERENCE, command, finish, go_on, run_hosted

book = Book("dashscope/tasks")

FINISHED, STARTED, SOUND = "task-finished", "task-started", "sentence-synthesis"
FORMATS = ("Default", "mp3", "wav", "pcm", "opus", "aac", "flac", "PCM")


@book.exchange()
async def sentences_and_their_sound(stage: Stage) -> None:
    async with stage.open(INFERENCE) as talk:
        await talk.send(run_hosted("t"))
        await talk.until(STARTED)
        await talk.send(go_on("t", "one two. 三 four! five"), finish("t"))
        await talk.until(FINISHED)


@book.exchange()
async def text_in_pieces_and_a_flush(stage: Stage) -> None:
    async with stage.open(INFERENCE) as talk:
        await talk.send(run_hosted("t"), go_on("t", "one"), go_on("t", flush=True))
        await talk.read(4)  # started, the sentence's begin, its sound
        await talk.send(go_on("t", ""), go_on("t", " two ", flush=True))
        await talk.until(SOUND)
        await talk.read()
        await talk.send(finish("t"))
        await talk.until(FINISHED)


@book.exchange(engine={"word_times": True})
async def words_at_the_end_of_their_sentence(stage: Stage) -> None:
    async with stage.open(INFERENCE) as talk:
        await talk.send(run_hosted("t", word_timestamp_enabled=True))
        await talk.until(STARTED)
        await talk.send(finish("t", "one two. three"))
        await talk.until(FINISHED)


@book.exchange(engine={"word_times": True})
async def ssml_with_marks_and_notices(stage: Stage) -> None:
    text = '<speak>one <mark name="here"/>two.<phoneme ph="x">three</phoneme></speak>'
    async with stage.open(INFERENCE) as talk:
        for more in ({"enable_ssml": True}, {"text_type": "SSML"}):
            await talk.send(run_hosted("t", word_timestamp_enabled=True, **more))
            await talk.until(STARTED)
            await talk.send(finish("t", text))
            await talk.until(FINISHED)
        await talk.send(run_hosted("t", enable_ssml=True))
        await talk.until(STARTED)
        await talk.send(finish("t", " plain < text"))
        await talk.until(FINISHED)


@book.exchange()
async def nothing_to_say(stage: Stage) -> None:
    async with stage.open(INFERENCE) as talk:
        await talk.send(run_hosted("t"), finish("t"))
        await talk.until(FINISHED)


@book.exchange()
async def every_format(stage: Stage) -> None:
    async with stage.open(INFERENCE) as talk:
        for name in FORMATS:
            is_default = name == "Default"
            talk.sound = Sound(
                "mp3" if is_default else name.lower(), 22050 if is_default else 24000
            )
            await talk.send(run_hosted("t", format=name, sample_rate=0 if is_default else 24000))
            await talk.until(STARTED)
            await talk.send(finish("t", "one two"))
            await talk.until(FINISHED)
            talk.say_sound()


@book.exchange()
async def opus_at_the_rates_that_it_does_not_have(stage: Stage) -> None:
    async with stage.open(INFERENCE) as talk:
        for rate, bit_rate in ((22050, 6), (44100, 510), (8000, 32000)):
            talk.sound = Sound("opus")
            await talk.send(run_hosted("t", format="opus", sample_rate=rate, bit_rate=bit_rate))
            await talk.until(STARTED)
            await talk.send(finish("t", "one"))
            await talk.until(FINISHED)
            talk.say_sound()


@book.exchange()
async def every_parameter_reaches_the_engine_and_the_encoder(stage: Stage) -> None:
    async with stage.open(INFERENCE) as talk:
        for parameters in (
            {"voice": "Deep"},
            {"voice": "longxiaochun"},
            {"rate": 1.5, "pitch": 0.5, "seed": 7},
            {"volume": 25},
            {"volume": 0},
            {"instruction": "Speak slowly"},
            {"language_hints": ["zh"], "type": 0, "enable_markdown_filter": True, "hot_fix": None},
        ):
            await talk.send(run_hosted("t", **parameters))
            await talk.until(STARTED)
            await talk.send(finish("t", "one"))
            await talk.until(FINISHED)
        for model in ("cosyvoice-v1", "CosyVoice-v3-plus"):
            await talk.send(run_hosted("t", model=model))
            await talk.until(STARTED)
            await talk.send(finish("t"))
            await talk.until(FINISHED)


@book.exchange(dashscope_default_voice="Anna")
async def a_hosted_voice_stands_for_what_is_configured(stage: Stage) -> None:
    await stage.upload(name="Anna")
    async with stage.open(INFERENCE) as talk:
        for voice in ("longxiaochun", "Anna"):
            await talk.send(run_hosted("t", voice=voice))
            await talk.until(STARTED)
            await talk.send(finish("t", "one"))
            await talk.until(FINISHED)


@book.exchange()
async def a_cancelled_task(stage: Stage) -> None:
    async with stage.open(INFERENCE) as talk:
        await talk.send(run_hosted("t"), go_on("t", "one "))
        await talk.until(SOUND)
        await talk.read()
        await talk.send(command("finish-task", "t", input={"directive": "cancel"}))
        await talk.until(FINISHED)
        await talk.send(go_on("t", "late"), run_hosted("u"))
        await talk.until(STARTED)
        await talk.send(finish("u", "one"))
        await talk.until(FINISHED)


@book.exchange(max_tasks_per_token=1)
async def a_run_task_takes_the_place_of_the_running_one(stage: Stage) -> None:
    async with stage.open(INFERENCE) as talk:
        for task in ("u", "t"):
            await talk.send(run_hosted("t"))
            await talk.until(STARTED)
            with stage.silence():
                await talk.send(go_on("t", "never heard "), run_hosted(task))
                await talk.until(STARTED)
            await talk.send(finish(task, "one"))
            await talk.until(FINISHED)


@book.exchange(engine={"word_times": True})
async def phrases_that_are_spoken_otherwise(stage: Stage) -> None:
    fix = {"replace": [{"AI": "artificial intelligence"}, {"uh": ""}]}
    async with stage.open(INFERENCE) as talk:
        await talk.send(run_hosted("t", hot_fix=fix, word_timestamp_enabled=True))
        await talk.until(STARTED)
        await talk.send(go_on("t", "one A"), go_on("t", "I uh t"), finish("t", "wo"))
        await talk.until(FINISHED)
