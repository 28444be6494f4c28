"""Filters before the codec: pitch, tempo, sample rate, volume.

Pitch relabels the sample rate, which makes the sound higher and shorter; the tempo stage restores the
length. The formants move as well: far from 1 it sounds like a smaller or larger speaker.
The order is pitch, tempo, resampling, gain with limiter. The limiter is last, because resampling a sound
at full scale overshoots it between the old samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from typing import Final, Protocol

import av
import numpy as np
from av.filter import Graph

from cosyserve.engine.interface import Samples

_TEMPO_BLOCKS_PER_SECOND: Final = 50
_BLOCKS_PER_SECOND: Final = 5
_LEAST_TEMPO: Final = 0.5
"""The lowest factor of one atempo filter. Up to 1 / 0.5 it also sounds best."""
_TEMPO_TAIL: Final = 0.2
"""Seconds of silence after the end that make atempo release the sound that it holds back."""
_CEILING: Final = 0.97  # leaves room for what a lossy codec adds to peaks
SILENCE: Final[Samples] = np.zeros(0, np.float32)


class Filter(Protocol):
    """An incremental transform of mono samples; either verb may give an empty array."""

    def feed(self, samples: Samples) -> Samples: ...

    def finish(self) -> Samples: ...


def sound(samples: Samples) -> Samples:
    """The samples as one contiguous float32 row, with silence in place of NaN and infinity.

    Otherwise a single NaN stays in the state of every filter that follows.
    """
    row: Samples = np.ascontiguousarray(samples, dtype=np.float32).reshape(-1)
    if not np.isfinite(row).all():
        return np.nan_to_num(row, nan=0.0, posinf=0.0, neginf=0.0)
    return row


class Through:
    """The filter that changes nothing."""

    def feed(self, samples: Samples) -> Samples:
        return samples

    def finish(self) -> Samples:
        return SILENCE


class Gain:
    """A volume factor of at most 1, which needs no limiter."""

    def __init__(self, factor: float) -> None:
        self._factor = np.float32(factor)

    def feed(self, samples: Samples) -> Samples:
        return samples * self._factor

    def finish(self) -> Samples:
        return SILENCE


class Chain:
    """Filters in a row."""

    def __init__(self, *filters: Filter) -> None:
        self._filters = filters

    def feed(self, samples: Samples) -> Samples:
        for filter_ in self._filters:
            samples = filter_.feed(samples)
        return samples

    def finish(self) -> Samples:
        samples = SILENCE
        for filter_ in self._filters:
            samples = np.concatenate((filter_.feed(samples), filter_.finish()))
        return samples


class FilterGraph:
    """Pitch, tempo, resampling and amplification in one FFmpeg filter graph.

    The result does not depend on how the sound is cut into pieces, and it is complete: `finish` returns
    what look-ahead and windows hold back. With another pitch or tempo its length is exactly that of the
    tempo. A sound shorter than 20 ms is padded to that with silence.
    """

    def __init__(
        self,
        source_rate: int,
        sample_rate: int,
        *,
        tempo: float = 1.0,
        gain: float = 1.0,
        pitch: float = 1.0,
    ) -> None:
        self._rate = source_rate
        self._time_base = Fraction(1, source_rate)
        self._position = 0  # samples given to the graph
        self._rest = SILENCE  # samples short of a block
        # atempo holds back the sound of a long piece, and places its windows by where pieces end: with
        # blocks of one length it is prompt and repeatable. The other filters do not depend on the cuts.
        self._stretches = tempo != 1.0 or pitch != 1.0
        blocks = _TEMPO_BLOCKS_PER_SECOND if self._stretches else _BLOCKS_PER_SECOND
        self._block = source_rate // blocks  # samples that the graph gets at once
        self._least = source_rate // 50  # the resampler loses a sound shorter than its window
        self._length_factor = sample_rate / source_rate / tempo
        self._given = 0  # samples that the graph has returned
        self._build = partial(_build, source_rate, sample_rate, tempo, gain, pitch)
        self._opened: Graph | None = None

    def feed(self, samples: Samples) -> Samples:
        """All output that these samples make possible. Does not raise, whatever the sound."""
        if len(self._rest):
            samples = np.concatenate((self._rest, samples))
        end = len(samples) - len(samples) % self._block if self._stretches else len(samples)
        self._rest = samples[end:].copy() if end < len(samples) else SILENCE
        out: list[Samples] = []
        for begin in range(0, end, self._block):
            self._push(samples[begin : min(begin + self._block, end)])
            out.extend(self._pulled())
        return _joined(out)

    def finish(self) -> Samples:
        if len(self._rest):
            self._push(self._rest)
        missing = self._least - self._position
        if self._position and missing > 0:
            self._push(np.zeros(missing, np.float32))
        length = round(self._position * self._length_factor)
        if self._position and self._stretches:
            self._push(np.zeros(round(_TEMPO_TAIL * self._rate), np.float32))
        graph = self._graph()
        graph.push(None)
        given = self._given
        rest = _joined(list(self._pulled()))
        return rest[: max(0, length - given)] if self._stretches else rest

    def _graph(self) -> Graph:
        """The graph, built on first use, so that opening an encoder does not block the event loop."""
        if self._opened is None:
            self._opened = self._build()
        return self._opened

    def _push(self, samples: Samples) -> None:
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = self._rate
        frame.time_base = self._time_base
        frame.pts = self._position
        self._position += len(samples)
        self._graph().push(frame)

    def _pulled(self) -> Iterator[Samples]:
        graph = self._graph()
        while True:
            try:
                frame = graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, av.AudioFrame)
            samples = np.asarray(frame.to_ndarray(), np.float32).reshape(-1)
            self._given += len(samples)
            yield samples


def _build(source_rate: int, sample_rate: int, tempo: float, gain: float, pitch: float) -> Graph:
    graph = Graph()
    graph.threads = 1  # otherwise every stream has a pool of threads
    nodes = [
        graph.add_abuffer(
            sample_rate=source_rate,
            format="flt",
            layout="mono",
            time_base=Fraction(1, source_rate),
        )
    ]
    named_rate = round(source_rate * pitch)
    if named_rate != source_rate:
        nodes.append(graph.add("asetrate", str(named_rate)))
    stretch = tempo * source_rate / named_rate
    stages = 1 if _LEAST_TEMPO <= stretch <= 1 / _LEAST_TEMPO else 2
    if stretch != 1.0:
        nodes += [graph.add("atempo", f"{stretch ** (1 / stages):.6f}") for _ in range(stages)]
    if sample_rate != named_rate:
        nodes.append(graph.add("aresample", str(sample_rate)))
    if gain > 1.0:
        limiter = f"level_in={gain:.6f}:limit={_CEILING}:level=disabled:latency=1"
        nodes.append(graph.add("alimiter", limiter))
    nodes.append(graph.add("aformat", "sample_fmts=flt"))
    nodes.append(graph.add("abuffersink"))
    graph.link_nodes(*nodes).configure()
    return graph


def _joined(pieces: list[Samples]) -> Samples:
    if len(pieces) == 1:
        return pieces[0]
    return np.concatenate(pieces) if pieces else SILENCE


def open_filters(
    source_rate: int,
    sample_rate: int,
    *,
    tempo: float = 1.0,
    gain: float = 1.0,
    pitch: float = 1.0,
) -> Filter:
    """The filter from `source_rate` to `sample_rate`, in Hz, without stages that change nothing.

    tempo: factor of the pace, 0.5 to 2; keeps the pitch. pitch: factor of the pitch, 0.5 to 2; keeps the
    length. gain: factor of the volume, above 0; above 1 a look-ahead limiter keeps peaks below full scale.
    """
    needs_graph = tempo != 1.0 or pitch != 1.0 or sample_rate != source_rate or gain > 1.0
    stages: list[Filter] = [Gain(gain)] if gain < 1.0 else []
    if needs_graph:
        loud = max(gain, 1.0)
        stages.append(FilterGraph(source_rate, sample_rate, tempo=tempo, gain=loud, pitch=pitch))
    if not stages:
        return Through()
    return stages[0] if len(stages) == 1 else Chain(*stages)
