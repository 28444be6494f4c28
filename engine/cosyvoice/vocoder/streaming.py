"""The vocoder over a stream of mel: bounded context, bounded look-ahead, carried phase, any speech rate.

A step decodes one window of mel: `left_context` frames that were already played, the frames to play now,
and `look_ahead` frames whose sound is provisional because their right neighbours are not known yet. The
provisional sound is made again by the next step and the two are cross-faded, with weights that add up to 1,
over the first `fade` samples after the border.

What decides whether a border can be heard is carried in VocoderState and never provisional: F0 of settled
frames (those whose whole context was known), and each harmonic's phase at the window's left border in
float64. Noise is a function of the seed and the absolute frame. So with a look-ahead of at least
`reach(config).right` frames any schedule gives the sound of the whole; below that the border differs by
what the missing right context changes.

At the end of the utterance the last window has its full left context and the true right edge, exactly as
the whole has: nothing is decoded from a few last frames alone, which is where tail noise comes from.

Speech rate: mel is resampled along time by linear interpolation (TimeScale). Output frame j of an
utterance at speed v sits at (j + 1/2) v - 1/2 of the input, held at both ends; T frames become floor(T /
v), however the input was cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..config import MEL_HOP
from ..transfer import to_device
from .layers import F0Predictor
from .reach import reach
from .source import cycles_per_frame, frame_noise

if TYPE_CHECKING:
    from .hift import Hift

SLOWEST: Final = 0.5
FASTEST: Final = 2.0


@dataclass(frozen=True, slots=True)
class TimeScale:
    """Where a session stands. Frames count from the utterance's start.

    speed: in force since output was at input border `anchor` (a border lies before its frame), `made` frames
    ago. known: input frames so far. kept: [mel, k] the last of them that may still be needed.
    """

    kept: Tensor
    speed: float = 1.0
    anchor: float = 0.0
    made: int = 0
    known: int = 0

    def feed(self, mel: Tensor, speed: float, final: bool) -> tuple[TimeScale, Tensor]:
        """New input [mel, n] -> the state after it and the output [mel, m] that it completes.

        Raises: ValueError if the speed is out of range.
        """
        (made,) = feed_scales([self], [mel], [speed], [final])
        return made

    def keeps_time(self, speed: float) -> bool:
        """Whether output is input, as long as this speed goes on."""
        return speed == self.speed == 1.0 and self.anchor == 0.0 and self.made == self.known

    def advance(self, frames: int, speed: float, final: bool) -> tuple[TimeScale, list[float], int]:
        """So many new frames of input, at another speed than 1 or after one.

        The state after them, but for `kept`; where the output lies in the kept frames and the new ones; and
        how many of those are to be kept.
        """
        now = self if speed == self.speed else self._at(speed)
        held = now.kept.shape[1] + frames
        known = now.known + frames
        made = now._complete(known, final)
        begin = known - held
        places = [now.anchor + (j + 0.5) * speed - 0.5 - begin for j in range(now.made, made)]
        # The next frame lies nearest to the border if the speed is about to become the slowest.
        first = math.floor(now.anchor + made * speed + 0.5 * SLOWEST - 0.5)
        keep = min(max(known - max(first, 0), 1), held)
        return replace(now, made=made, known=known), places, keep

    def _at(self, speed: float) -> TimeScale:
        anchor = self.anchor + self.made * self.speed
        return replace(self, speed=speed, anchor=anchor, made=0)

    def _complete(self, known: int, final: bool) -> int:
        """How many output frames, of this speed, the known input settles."""
        span = known - self.anchor
        if final:
            return max(int(span / self.speed), self.made)
        # The last one must lie at or before the last known frame, and must not be the end's to hold.
        inside = math.floor((span - 0.5) / self.speed - 0.5) + 1
        return max(min(inside, int(span / self.speed)), self.made)


def feed_scales(
    scales: Sequence[TimeScale],
    mels: Sequence[Tensor],
    speeds: Sequence[float],
    final: Sequence[bool],
) -> list[tuple[TimeScale, Tensor]]:
    """TimeScale.feed of several utterances, by as many operators as of one. Raises ValueError likewise."""
    made: list[tuple[TimeScale, Tensor]] = []
    scaled: dict[int, tuple[list[float], int]] = {}
    for index, (scale, mel, speed) in enumerate(zip(scales, mels, speeds, strict=True)):
        if not SLOWEST <= speed <= FASTEST:
            raise ValueError(f"speed must be within {SLOWEST} ... {FASTEST}, not {speed}")
        if scale.keeps_time(speed):
            known = scale.known + mel.shape[1]
            kept = mel[:, -1:] if mel.shape[1] else scale.kept
            made.append((replace(scale, kept=kept, made=known, known=known), mel))
        else:
            after, wanted, keep = scale.advance(mel.shape[1], speed, final[index])
            scaled[index] = wanted, keep
            made.append((after, mel))
    if not scaled:
        return made
    columns = torch.cat([part for i in scaled for part in (scales[i].kept, mels[i])], dim=1)
    places, ends = [], []
    begin = 0
    for index, (wanted, _) in scaled.items():
        last = scales[index].kept.shape[1] + mels[index].shape[1] - 1
        # Held at both ends.
        held = np.clip(np.array(wanted), 0.0, float(max(last, 0)))
        low = held.astype(np.int64)
        places.append(np.stack([low + begin, np.minimum(low + 1, last) + begin, held - low]))
        begin += last + 1
        ends.append(begin)
    found = _interpolated(columns, np.concatenate(places, axis=1))
    parts = torch.split(found, [each.shape[1] for each in places], dim=1)
    for (index, (_, keep)), end, part in zip(scaled.items(), ends, parts, strict=True):
        kept = columns[:, end - keep : end]
        made[index] = replace(made[index][0], kept=kept), part
    return made


def _interpolated(columns: Tensor, places: NDArray[np.float64]) -> Tensor:
    """places [3, m]: the column below, the one above, and how far from the first to the second."""
    if not places.shape[1]:
        return columns[:, :0]
    (index,) = to_device([places[:2].astype(np.int64)], columns.device)
    (weight,) = to_device([places[2]], columns.device)
    lower, upper = columns[:, index[0]], columns[:, index[1]]
    return lower + (upper - lower) * weight.to(columns.dtype)


_F0_REACH: Final = F0Predictor.LAYERS


@dataclass(frozen=True, slots=True)
class StreamPolicy:
    """look_ahead: mel frames (20 ms) held back until their right neighbours are known; the sound of a step
    ends that much before its mel does. left_context: frames decoded again to the left; None for as many as
    make it exact. fade: samples of cross-fade after a border, at most look_ahead frames. fade_out: samples at
    the end of an utterance that fall to zero, so that it does not end on a step."""

    look_ahead: int = 8
    left_context: int | None = None
    fade: int = 120
    fade_out: int = 120

    def __post_init__(self) -> None:
        if self.look_ahead < 1:
            raise ValueError("look_ahead must be at least 1 frame")
        if self.left_context is not None and self.left_context < 1:
            raise ValueError("left_context must be at least 1 frame")
        if not 0 <= self.fade <= self.look_ahead * MEL_HOP:
            raise ValueError("fade must lie within the look-ahead")
        if not 0 <= self.fade_out <= self.look_ahead * MEL_HOP:
            raise ValueError("fade_out must lie within the look-ahead")


@dataclass(slots=True)
class VocoderState:
    """One utterance's place in the stream. Frames count from the utterance's start.

    mel: [80, n] frames from `begin` on, up to the last known one. f0: settled values from `begin` on.
    phase: [harmonics] float64, cycles at the centre of frame begin - 1. played: frames whose sound is out.
    tail: [fade or fewer] provisional sound from `played` on. scale: see TimeScale.
    """

    policy: StreamPolicy
    left: int
    seed: int | None
    scale: TimeScale
    mel: Tensor
    f0: Tensor
    phase: Tensor
    tail: Tensor
    begin: int = 0
    played: int = 0
    finished: bool = False

    @property
    def known(self) -> int:
        return self.begin + self.mel.shape[1]

    @property
    def nbytes(self) -> int:
        kept = (self.mel, self.f0, self.phase, self.tail, self.scale.kept)
        return sum(tensor.numel() * tensor.element_size() for tensor in kept)

    def copy(self) -> VocoderState:
        """An independent state at the same place; its tensors are shared, as steps replace them."""
        return replace(self)


def start_state(hift: Hift, policy: StreamPolicy, seed: int | None) -> VocoderState:
    config = hift.config
    device = hift.conv_pre.weight.device
    left = policy.left_context
    empty = torch.zeros(config.mel_size, 0, device=device)
    return VocoderState(
        policy=policy,
        left=reach(config).left if left is None else left,
        seed=seed,
        scale=TimeScale(empty),
        mel=empty,
        f0=torch.zeros(0, dtype=torch.float64, device=device),
        phase=torch.zeros(config.harmonics + 1, dtype=torch.float64, device=device),
        tail=torch.zeros(0, device=device),
    )


@dataclass(slots=True)
class _Window:
    """One session's part of a step: its new frames, and the frame until which it will play. begin, played:
    of the state, before the step."""

    state: VocoderState
    scale: TimeScale
    new: Tensor
    final: bool
    until: int
    begin: int
    played: int
    length: int

    @property
    def known(self) -> int:
        return self.begin + self.length

    @property
    def idle(self) -> bool:
        return self.until == self.played

    @property
    def settled(self) -> int:
        """Frames whose F0 will not change."""
        return max(self.known - _F0_REACH, 0)

    @property
    def past(self) -> int:
        """How many of its first frames no later window needs."""
        begin = min(self.until - self.state.left, self.settled - _F0_REACH)
        return max(begin - self.begin, 0)


def step_states(
    hift: Hift,
    states: Sequence[VocoderState],
    mels: Sequence[Tensor],
    final: Sequence[bool],
    speeds: Sequence[float],
    align: bool | None = None,
) -> list[Tensor]:
    """See Hift.step. align: see _groups; None: off the CPU."""
    if len({id(state) for state in states}) != len(states):
        raise ValueError("a state may be given once per step")
    windows = _extend(states, mels, final, speeds, hift.config.mel_size)
    device = hift.conv_pre.weight.device
    aligned = device.type != "cpu" if align is None else align
    rendered = []
    for members in _groups(windows, align=aligned):
        rendered.append((members, _Batch([windows[index] for index in members]).render(hift)))
    # Nothing has been changed up to here.
    waves = [window.state.tail[:0] for window in windows]
    for members, made in rendered:
        for row, index in enumerate(members):
            waves[index] = made.commit(row, windows[index])
    for window in windows:
        if window.idle:
            window.state.mel = torch.cat([window.state.mel, window.new], dim=1)
        window.state.scale, window.state.finished = window.scale, window.final
    return waves


def _extend(
    states: Sequence[VocoderState],
    mels: Sequence[Tensor],
    final: Sequence[bool],
    speeds: Sequence[float],
    mel_size: int,
) -> list[_Window]:
    for state, mel in zip(states, mels, strict=True):
        if state.finished:
            raise ValueError("the utterance has ended")
        if mel.dim() != 2 or mel.shape[0] != mel_size:
            raise ValueError(f"mel must be [{mel_size}, frames], not {list(mel.shape)}")
    given = [mel.to(state.mel) for state, mel in zip(states, mels, strict=True)]
    scaled = feed_scales([state.scale for state in states], given, speeds, final)
    windows = []
    for state, (scale, frames), last in zip(states, scaled, final, strict=True):
        known = state.known + frames.shape[1]
        until = known if last else max(known - state.policy.look_ahead, state.played)
        length = known - state.begin
        windows.append(
            _Window(state, scale, frames, last, until, state.begin, state.played, length)
        )
    return windows


def _groups(windows: Sequence[_Window], *, align: bool) -> list[list[int]]:
    """Windows that are decoded together: those of one length.

    align: also all that begin inside their utterances, whatever their lengths, filled up at the beginning:
    no frame to be played reaches back to there. Where the sound begins nothing can be put before it.
    """
    groups: dict[tuple[int, bool], list[int]] = {}
    for index, window in enumerate(windows):
        if not window.idle:
            length = -1 if align and window.state.begin else window.length
            groups.setdefault((length, window.state.seed is not None), []).append(index)
    return list(groups.values())


@dataclass(slots=True)
class _Rendered:
    """What windows, aligned at their ends, have become: mel [S, 80, T], f0 [S, T], wave [S, 480 T] with its
    borders faded, phase [S, harmonics] where each will begin, tails [S, fade]."""

    mel: Tensor
    f0: Tensor
    phase: Tensor
    wave: Tensor
    tails: Tensor

    def commit(self, row: int, window: _Window) -> Tensor:
        """Write the step into the state; the sound that it plays."""
        state, frames = window.state, self.mel.shape[2]
        begin = frames - window.length
        played = (begin + window.played - window.begin) * MEL_HOP
        wave = self.wave[row, played : played + (window.until - window.played) * MEL_HOP]
        past = window.past
        if past:
            state.phase = self.phase[row]
        first = begin + past
        settled = max(begin + window.settled - window.begin, first)
        state.f0 = self.f0[row, first:settled]
        state.mel = self.mel[row, :, first:]
        provisional = (window.known - window.until) * MEL_HOP
        state.tail = self.tails[row, : min(state.policy.fade, provisional)]
        state.begin, state.played = window.begin + past, window.until
        return wave


class _Batch:
    """Windows that are decoded together. What each operator needs of a window comes from the host, so that
    there are as many operators for many windows as for one."""

    def __init__(self, windows: Sequence[_Window]) -> None:
        self._windows = windows
        self._frames = max(window.length for window in windows)
        state = windows[0].state
        self._device = state.mel.device
        lengths = np.array([window.length for window in windows])
        self._begins = self._frames - lengths
        """Where each begins."""
        self._tails = np.array([window.state.tail.shape[0] for window in windows])

    def render(self, hift: Hift) -> _Rendered:
        states = [window.state for window in self._windows]
        harmonics = hift.config.harmonics + 1
        (at_mel, at_f0, places, at_phase) = to_device(
            [self._mel_places(), self._f0_places(), self._wave_places(), self._phase_places()],
            self._device,
        )
        rise, gains, at_start = to_device([*self._gains(), self._starts()], self._device)
        parts = [part for window in self._windows for part in (window.state.mel, window.new)]
        mel = torch.cat(parts, dim=1)[:, at_mel].transpose(0, 1).contiguous()
        # Values near the window's left border lack context; those that settled before are kept.
        guessed = hift.f0_predictor.precise(mel)
        settled = torch.cat([guessed.new_zeros(1), *(state.f0 for state in states)])
        f0 = torch.where(at_f0 >= 0, settled[at_f0], guessed)
        steps = cycles_per_frame(f0, harmonics)
        phase = torch.stack([state.phase for state in states])[:, None] + steps.cumsum(1)
        sines = hift.m_source.render(phase, steps, at_start)
        noise = self._noise(harmonics)
        wave = hift.decode(mel, hift.m_source.merge(sines, f0, noise))
        fade, out = rise.shape[1], gains.shape[1]
        begun, ended, after = torch.split(places, [fade, out, places.shape[1] - fade - out], dim=1)
        if fade:
            new = wave.gather(1, begun)
            wave.scatter_(1, begun, torch.lerp(self._old_tails(fade), new, rise.to(new.dtype)))
        if out:
            wave.scatter_(1, ended, wave.gather(1, ended) * gains.to(wave.dtype))
        cycles = phase.gather(1, at_phase[:, :, None].expand(-1, -1, harmonics))[:, 0]
        return _Rendered(mel, f0, cycles - cycles.floor(), wave, wave.gather(1, after))

    def _mel_places(self) -> NDArray[np.int64]:
        """Columns [S, T]. Before a window it does not matter which."""
        places = np.zeros((len(self._windows), self._frames), dtype=np.int64)
        first = 0
        for row, window in enumerate(self._windows):
            places[row, self._begins[row] :] = np.arange(first, first + window.length)
            first += window.length
        return places

    def _f0_places(self) -> NDArray[np.int64]:
        """Of settled values, [S, T]; 0: zero, before the window, as the phase stands there; -1: of none."""
        places = np.full((len(self._windows), self._frames), -1, dtype=np.int64)
        first = 1
        for row, window in enumerate(self._windows):
            count, begin = window.state.f0.shape[0], self._begins[row]
            places[row, :begin] = 0
            places[row, begin : begin + count] = np.arange(first, first + count)
            first += count
        return places

    def _phase_places(self) -> NDArray[np.int64]:
        """The last frame that each window drops, [S, 1]."""
        past = np.array([window.past for window in self._windows], dtype=np.int64)
        places: NDArray[np.int64] = np.maximum(self._begins + past - 1, 0)[:, None]
        return places

    def _wave_places(self) -> NDArray[np.int64]:
        """Samples: where old tails are faded out, where sounds end, and the new tails, one after another."""
        states = [window.state for window in self._windows]
        begin = np.array([state.played - state.begin for state in states]) + self._begins
        until = np.array([window.until for window in self._windows])
        end = until - np.array([state.begin for state in states]) + self._begins
        fade, out = self._tails.max(), self._fade_out()
        tail = max(state.policy.fade for state in states)
        begin, end = MEL_HOP * begin[:, None], MEL_HOP * end[:, None]
        places = [begin + np.arange(fade), end - out + np.arange(out), end + np.arange(tail)]
        all_places: NDArray[np.int64] = np.concatenate(places, axis=1)
        return all_places.clip(0, MEL_HOP * self._frames - 1)

    def _fade_out(self) -> int:
        ends = [window.state.policy.fade_out for window in self._windows if window.final]
        return max(ends, default=0)

    def _gains(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights of the new sound over the old tails, [S, fade]; with the old ones they add up to 1. Of the
        last samples, [S, out]: those of an utterance fall to zero."""
        fade, out = self._tails.max(), self._fade_out()
        rise = np.ones((len(self._windows), fade))
        gains = np.ones((len(self._windows), out))
        for row, window in enumerate(self._windows):
            length = self._tails[row]
            rise[row, :length] = (np.arange(length) + 0.5) / max(length, 1)
            samples = (window.until - window.state.played) * MEL_HOP
            count = min(window.state.policy.fade_out, samples) if window.final else 0
            if count:
                gains[row, out - count :] = 1.0 - (np.arange(count) + 1.0) / count
        return rise, gains

    def _starts(self) -> NDArray[np.float64]:
        return np.array([float(window.state.begin == 0) for window in self._windows])

    def _old_tails(self, length: int) -> Tensor:
        """[S, length]. Where there are fewer it does not matter what comes after: its weight is 0."""
        tails = [window.state.tail for window in self._windows]
        rows = np.zeros((len(tails), length), dtype=np.int64)
        first = 0
        for row, count in enumerate(self._tails):
            rows[row, :count] = np.arange(first, first + count)
            first += count
        (places,) = to_device([rows], self._device)
        return torch.cat(tails)[places]

    def _noise(self, harmonics: int) -> Tensor | None:
        states = [window.state for window in self._windows]
        seeds = [state.seed for state in states if state.seed is not None]
        if not seeds:
            return None
        first = [state.begin - int(at) for state, at in zip(states, self._begins, strict=True)]
        noise = frame_noise(seeds, first, self._frames, MEL_HOP * harmonics, self._device)
        return noise.view(len(seeds), self._frames * MEL_HOP, harmonics)
