"""Tasks of the native WebSocket from run-task to their end."""

from __future__ import annotations

from ..book import Book
from ..sound import Sound
from ..stage import Stage
from .frames import SPEECH, cancel, command, finish, frame, go_on, run_task

book = Book("websocket/tasks")

FINISHED, STARTED, RESULT = "task-finished", "task-started", "result-generated"

SSML = (
    '<speak>one <mark name="here"/>two<break time="50ms"/>'
    '<prosody rate="9">three</prosody>'
    '<phoneme alphabet="ipa" ph="x">four</phoneme><say-as interpret-as="digits">twelve</say-as></speak>'
)
LOUD = '<speak volume="100"><prosody volume="+20dB">one</prosody></speak>'


@book.exchange()
async def a_text_in_pieces_with_debug_metrics(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t", debug=True))
        await talk.until(STARTED)
        await talk.send(go_on("t", "one two. th"), go_on("t", "ree "), finish("t", "four"))
        await talk.until(FINISHED)


@book.exchange()
async def the_defaults(stage: Stage) -> None:
    asked = {"mode": "cross_lingual_replication", "reference_audio_id": "PLAIN"}
    async with stage.open(SPEECH, sound=Sound("wav")) as talk:
        await talk.send(
            command("run-task", "t", model="CosyVoice2-0.5B", parameters=asked),
            command("finish-task", "t", input={"text": "one two"}),
        )
        await talk.until(FINISHED)
        talk.say_sound()


@book.exchange()
async def text_in_run_task_before_it_started(stage: Stage) -> None:
    asked = {"mode": "fast_replication", "reference_audio_id": "plain", "output_format": "pcm"}
    first = {"model": "cosyvoice-v2", "parameters": asked, "input": {"text": "one "}}
    async with stage.open(SPEECH) as talk:
        await talk.send(command("run-task", "t", **first), go_on("t", "two "), finish("t"))
        await talk.until(FINISHED)


@book.exchange()
async def sound_in_binary_frames(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t", audio_transport="binary"), finish("t", "one two"))
        await talk.until(FINISHED)


@book.exchange()
async def every_parameter_reaches_the_engine_and_the_encoder(stage: Stage) -> None:
    asked: list[dict[str, object]] = [
        {},
        {"mode": "cross_lingual_replication"},
        {"mode": "natural_language_replication", "instruct": "Speak slowly"},
        {"instruct": "Speak slowly"},
        {"reference_audio_id": "deep"},
        {"speed": 1.5},
        {"pitch": 0.5},
        {"seed": 7},
        {"seed": 7.0},
        {"volume": 0.5},
        {"volume": 1},
    ]
    async with stage.open(SPEECH) as talk:
        for number, parameters in enumerate(asked):
            task = f"t{number}"
            await talk.send(run_task(task, **parameters), finish(task, "one"))
            await talk.until(FINISHED)


@book.exchange(engine={"word_times": True})
async def words_with_their_times_and_places(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t", word_timestamp_enabled=True, mark_synthetic=True))
        await talk.send(finish("t", "“Naïve 😀 你好， z\u0301.”\n one"))
        await talk.until(FINISHED)


@book.exchange()
async def words_where_the_engine_knows_none(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t", word_timestamp_enabled=True), finish("t", "one"))
        await talk.until(FINISHED)


@book.exchange(engine={"word_times": True})
async def ssml_with_marks_words_and_notices(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t", enable_ssml=True, word_timestamp_enabled=True))
        await talk.until(STARTED)
        await talk.send(go_on("t", SSML[:20]), finish("t", SSML[20:]))
        await talk.until(FINISHED)


@book.exchange()
async def ssml_that_is_louder_than_can_be(stage: Stage) -> None:
    async with stage.open(SPEECH, sound=Sound("pcm", exact=False)) as talk:
        await talk.send(run_task("t", enable_ssml=True), finish("t", LOUD))
        await talk.until(FINISHED)


@book.exchange()
async def ssml_documents_one_after_the_other(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t", enable_ssml=True))
        await talk.send(go_on("t", '<speak>one<mark name="a"/></speak>', flush=True))
        await talk.until(RESULT)
        await talk.send(finish("t", "<speak><p>two</p></speak>"))
        await talk.until(FINISHED)


@book.exchange()
async def plain_text_where_ssml_is_enabled(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t", enable_ssml=True), go_on("t", "one "))
        await talk.until(RESULT)
        await talk.send(finish("t", "<b>two</b>"))
        await talk.until(FINISHED)


@book.exchange()
async def a_flush_with_text_and_without(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t"), go_on("t", "one", flush=True))
        await talk.until(RESULT)
        await talk.send(go_on("t", "two"), go_on("t", flush=True))
        await talk.until(RESULT)
        await talk.send(go_on("t", flush=True), finish("t"))
        await talk.until(FINISHED)


@book.exchange(engine={"word_times": True})
async def a_cancelled_task_of_which_words_were_heard(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        for played in (60, 0, 99_999):
            await talk.send(run_task("t"), go_on("t", "one two "))
            await talk.until(RESULT)
            await talk.until(RESULT)
            await talk.send(cancel("t", played))
            await talk.until(FINISHED)


@book.exchange()
async def a_cancelled_task_of_which_sentences_were_heard(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t"), go_on("t", "One. Two "))
        await talk.until(RESULT)
        await talk.until(RESULT)
        await talk.send(cancel("t", 60))
        await talk.until(FINISHED)


@book.exchange()
async def a_task_that_is_cancelled_while_its_sound_is_still_played(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t"), finish("t", "One. Two."))
        await talk.until(FINISHED)
        await talk.send(cancel("t", 60))
        await talk.until(FINISHED)


@book.exchange()
async def a_cancelled_task_with_a_time_that_cannot_be(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        for wrong in (-1, "soon"):
            await talk.send(run_task("t"), go_on("t", "one "))
            await talk.until(RESULT)
            await talk.send(cancel("t", wrong))
            await talk.until("task-failed")


@book.exchange()
async def a_cancelled_task_and_what_crosses_its_end(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t"), go_on("t", "one "))
        await talk.until(RESULT)
        await talk.send(cancel("t"), go_on("t", "two "), finish("t"), cancel("t"))
        await talk.until(FINISHED)
        await talk.send(go_on("t", "two "), finish("t"), cancel("t"))
        await talk.send(run_task("t"), finish("t", "again"))
        await talk.until(FINISHED)
        await talk.send(cancel("t"), run_task("t"))
        await talk.until(STARTED)
        await talk.send(cancel("t"))
        await talk.until(FINISHED)


@book.exchange()
async def two_tasks_at_once(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("a"), run_task("b", audio_transport="binary"))
        await talk.send(finish("a", "one two"), finish("b", "three four five"))
        await talk.apart("task_id", "a", "b", last=FINISHED)


@book.exchange()
async def nothing_to_say(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        for text in (None, "", " \n"):
            await talk.send(run_task("t"), finish("t", text))
            await talk.until(FINISHED)


@book.exchange()
async def fields_that_are_null_or_unknown(stage: Stage) -> None:
    asked = {
        "mode": "fast_replication",
        "reference_audio_id": "plain",
        "output_format": "pcm",
        "instruct": None,
        "speed": None,
        "unknown": [1],
    }
    header: dict[str, object] = {
        "action": "run-task",
        "task_id": "t",
        "streaming": None,
        "more": {},
    }
    payload = {
        "task_group": None,
        "task": "tts",
        "function": "SpeechSynthesizer",
        "model": "cosyvoice-v2",
        "parameters": asked,
        "input": None,
    }
    async with stage.open(SPEECH) as talk:
        await talk.send(frame({"header": header, "payload": payload, "more": 1}))
        await talk.until(STARTED)
        await talk.send(frame({"header": {"action": "finish-task", "task_id": "t"}}))
        await talk.until(FINISHED)
        await talk.send(run_task("u"))
        await talk.until(STARTED)
        await talk.send(frame({"header": {"action": "cancel-task", "task_id": "u"}}))
        await talk.until(FINISHED)


@book.exchange()
async def a_reference_by_its_id_and_by_its_name(stage: Stage) -> None:
    reference_id = await stage.upload(name="Anna")
    async with stage.open(SPEECH) as talk:
        for voice in (reference_id, "Anna", "plain"):
            await talk.send(run_task("t", reference_audio_id=voice), finish("t", "one"))
            await talk.until(FINISHED)


@book.exchange()
async def chunks_of_a_second_at_most(stage: Stage) -> None:
    text = '<speak>one<break time="2100ms"/>two</speak>'
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t", enable_ssml=True), finish("t", text))
        await talk.until(FINISHED)
