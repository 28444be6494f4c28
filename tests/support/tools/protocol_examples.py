"""An example of every message and hypothesis strategies for all that they may hold."""

from __future__ import annotations

from hypothesis import strategies as st

from cosyserve.protocol.messages import (
    CancelTask,
    ChunkMetrics,
    ContinueTask,
    EffectiveAudio,
    Event,
    FinishTask,
    Heard,
    Mark,
    QuotaLeft,
    ResultGenerated,
    RunTask,
    StageTimes,
    TaskCommand,
    TaskFailed,
    TaskFinished,
    TaskMetrics,
    TaskStarted,
    TraceContext,
    Word,
)
from cosyserve.protocol.parameters import (
    BIT_RATES,
    MODELS,
    SAMPLE_RATES,
    AudioFormat,
    Mode,
    SpeechParameters,
)
from cosyserve.protocol.phrases import ALPHABETS, Pronunciation

PLAIN = SpeechParameters(mode=Mode.FAST, reference_audio_id="ref-1")
FULL = SpeechParameters(
    mode=Mode.NATURAL_LANGUAGE,
    reference_audio_id="ref-2",
    instruct="Speak slowly",
    output_format=AudioFormat.OPUS,
    sample_rate=48000,
    bit_rate="64k",
    volume=2.5,
    speed=0.5,
    debug=True,
    seed=7,
    audio_transport="binary",
    pitch=1.5,
    enable_ssml=True,
    word_timestamp_enabled=True,
    mark_synthetic=True,
)
METRICS = ChunkMetrics(0.2, 0.01, 0.005)

COMMANDS: tuple[TaskCommand, ...] = (
    RunTask("t-1", "cosyvoice-v2", PLAIN),
    RunTask("t_2", "CosyVoice2-0.5B", FULL, "你好，"),
    RunTask("t-1", "cosyvoice-v2", PLAIN, trace=TraceContext("00-ab-cd-01", "vendor=1")),
    RunTask("t-1", "cosyvoice-v2", PLAIN, trace=TraceContext("whatever it is")),
    ContinueTask("t-1", "Good mor"),
    ContinueTask("t-1", ""),
    ContinueTask("t-1", "Now", flush=True),
    FinishTask("t-1"),
    FinishTask("t-1", "ning."),
    CancelTask("t-1"),
    CancelTask("t-1", 1.25),
)
EVENTS: tuple[Event, ...] = (
    TaskStarted("t-1"),
    TaskStarted("t-1", QuotaLeft(None, 0.5, 86_400)),
    ResultGenerated("t-1", "a-1", b"\x00\xffRIFF", METRICS),
    ResultGenerated("t-1", "a-1", b"", METRICS, EffectiveAudio("wav", 24000)),
    ResultGenerated(
        "t-1",
        "a-2",
        b"abc",
        ChunkMetrics(0.2, 0.01, 0.005, StageTimes(0.1, 0.2, 0.3, 0.4, 0.5, 6)),
        EffectiveAudio("mp3", 24000, "160k"),
    ),
    ResultGenerated(
        "t-1",
        "a-3",
        b"abc",
        METRICS,
        words=(Word("Good", 0.25, 0.5, 0, 4), Word("mor", 0.5, 1.0, 5, 8)),
        marks=(Mark("here", 0.75),),
    ),
    TaskFinished("t-1"),
    TaskFinished("t-1", "cancelled", 30, TaskMetrics(2.0, 0.03, 0.08)),
    TaskFinished("t-1", "cancelled", heard=Heard(1.25, 17, estimated=True)),
    TaskFinished("t-1", quota=QuotaLeft(0, None, 1)),
    TaskFinished("t-1", notices=("<phoneme>: read as it is written",)),
    TaskFailed("t-1", "InvalidParameter", "payload.parameters.speed: 9 is not allowed"),
)

task_ids = st.text(st.sampled_from("azAZ09_-"), min_size=1, max_size=64)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
seconds = st.floats(min_value=0, max_value=1e6)
lengths = st.floats(min_value=0, max_value=1e6, exclude_min=True)


@st.composite
def parameters(draw: st.DrawFn) -> SpeechParameters:
    mode = draw(st.sampled_from(Mode))
    output_format = draw(st.sampled_from(AudioFormat))
    return SpeechParameters(
        mode=mode,
        reference_audio_id=draw(st.text("abc-0", min_size=1, max_size=128)),
        instruct="calm" if mode is Mode.NATURAL_LANGUAGE else draw(texts),
        output_format=output_format,
        sample_rate=draw(st.sampled_from(output_format.sample_rates)),
        bit_rate=draw(st.sampled_from(BIT_RATES)),
        volume=draw(st.floats(min_value=0, max_value=10, exclude_min=True)),
        speed=draw(st.floats(min_value=0.5, max_value=2)),
        debug=draw(st.booleans()),
        seed=draw(st.none() | st.integers(0, 2**32 - 1)),
        audio_transport=draw(st.sampled_from(["base64", "binary"])),
        pitch=draw(st.floats(min_value=0.5, max_value=2)),
        enable_ssml=draw(st.booleans()),
        word_timestamp_enabled=draw(st.booleans()),
        pronunciations=tuple(
            draw(st.lists(pronunciations, max_size=3, unique_by=lambda p: p.phrase))
        ),
        mark_synthetic=draw(st.booleans()),
    )


pronunciations = st.builds(
    Pronunciation,
    st.sampled_from(["Nguyen", "New York", "银行", "C3PO"]),
    st.sampled_from(ALPHABETS),
    st.text("aə ˈ", min_size=1, max_size=8).map(lambda sounds: sounds.strip() or "a"),
    match_case=st.booleans(),
)


times = st.integers(0, 10**7).map(lambda milliseconds: milliseconds / 1000)
indices = st.integers(0, 10**6)
words = st.builds(Word, texts, times, times, indices, indices)
marks = st.builds(Mark, texts, times)


commands: st.SearchStrategy[TaskCommand] = st.one_of(
    st.builds(RunTask, task_ids, st.sampled_from(MODELS), parameters(), texts),
    st.builds(ContinueTask, task_ids, texts, st.booleans()),
    st.builds(FinishTask, task_ids, texts),
    st.builds(CancelTask, task_ids, st.none() | times),
)
stages = st.builds(StageTimes, seconds, seconds, seconds, seconds, seconds, st.integers(0, 9999))
effective = st.builds(
    EffectiveAudio,
    st.sampled_from([str(each) for each in AudioFormat]),
    st.sampled_from(SAMPLE_RATES),
    st.none() | st.sampled_from(BIT_RATES),
)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(TaskStarted, task_ids),
    st.builds(
        ResultGenerated,
        task_ids,
        texts,
        st.binary(max_size=100),
        st.builds(ChunkMetrics, lengths, seconds, seconds, st.none() | stages),
        st.none() | effective,
        st.booleans(),
        words=st.lists(words, max_size=3).map(tuple),
        marks=st.lists(marks, max_size=3).map(tuple),
    ),
    st.builds(
        TaskFinished,
        task_ids,
        st.sampled_from(["stop", "cancelled"]),
        st.integers(0, 10**9),
        st.builds(TaskMetrics, seconds, seconds, seconds),
        st.lists(texts, max_size=2).map(tuple),
        st.none() | st.builds(Heard, times, indices, st.booleans()),
    ),
    st.builds(TaskFailed, task_ids, texts, texts),
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
