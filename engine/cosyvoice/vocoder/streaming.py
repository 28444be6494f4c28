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

import torch
from torch import Tensor

from ..config import MEL_HOP
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
        if not SLOWEST <= speed <= FASTEST:
            raise ValueError(f"speed must be within {SLOWEST} ... {FASTEST}, not {speed}")
        if speed == self.speed == 1.0 and self.anchor == 0.0 and self.made == self.known:
            known = self.known + mel.shape[1]
            kept = mel[:, -1:].clone() if mel.shape[1] else self.kept
            return replace(self, kept=kept, made=known, known=known), mel
        now = self if speed == self.speed else self._at(speed)
        frames = torch.cat([now.kept, mel], dim=1)
        known = now.known + mel.shape[1]
        begin = known - frames.shape[1]
        made = now._complete(known, final)
        places = [now.anchor + (j + 0.5) * speed - 0.5 for j in range(now.made, made)]
        output = _interpolate(frames, [place - begin for place in places])
        # The next frame lies nearest to the border if the speed is about to become the slowest.
        first = math.floor(now.anchor + made * speed + 0.5 * SLOWEST - 0.5)
        keep = min(max(known - max(first, 0), 1), frames.shape[1])
        kept = frames[:, frames.shape[1] - keep :].clone()
        return replace(now, kept=kept, made=made, known=known), output

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


def _interpolate(frames: Tensor, places: list[float]) -> Tensor:
    """Columns at fractional places, held at both ends."""
    last = frames.shape[1] - 1
    if not places or last < 0:
        return frames[:, :0]
    held = [min(max(place, 0.0), float(last)) for place in places]
    low = [min(int(place), last) for place in held]
    index = torch.tensor(low, device=frames.device)
    weight = torch.tensor(
        [place - base for place, base in zip(held, low, strict=True)], device=frames.device
    ).to(frames.dtype)
    upper = frames[:, (index + 1).clamp(max=last)]
    lower = frames[:, index]
    return lower + (upper - lower) * weight


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
    """One session's part of a step: where its mel stands now, and the frames it will play."""

    state: VocoderState
    scale: TimeScale
    mel: Tensor
    final: bool
    until: int

    @property
    def known(self) -> int:
        return self.state.begin + self.mel.shape[1]

    @property
    def idle(self) -> bool:
        return self.until == self.state.played


@dataclass(slots=True)
class _Rendered:
    """wave: [frames * 480] of the window; f0: [frames]; phase: [frames, harmonics] at the centres."""

    wave: Tensor
    f0: Tensor
    phase: Tensor


def step_states(
    hift: Hift,
    states: Sequence[VocoderState],
    mels: Sequence[Tensor],
    final: Sequence[bool],
    speeds: Sequence[float],
) -> list[Tensor]:
    """See Hift.step."""
    if len({id(state) for state in states}) != len(states):
        raise ValueError("a state may be given once per step")
    windows = [
        _extend(*each, mel_size=hift.config.mel_size)
        for each in zip(states, mels, final, speeds, strict=True)
    ]
    groups: dict[tuple[int, bool], list[int]] = {}
    for index, window in enumerate(windows):
        if not window.idle:
            key = (window.mel.shape[1], window.state.seed is not None)
            groups.setdefault(key, []).append(index)
    rendered: dict[int, _Rendered] = {}
    for members in groups.values():
        made = _render(hift, [windows[index] for index in members])
        rendered.update(zip(members, made, strict=True))
    # Nothing has been changed up to here.
    return [_commit(window, rendered.get(index)) for index, window in enumerate(windows)]


def _extend(
    state: VocoderState, mel: Tensor, final: bool, speed: float, *, mel_size: int
) -> _Window:
    if state.finished:
        raise ValueError("the utterance has ended")
    if mel.dim() != 2 or mel.shape[0] != mel_size:
        raise ValueError(f"mel must be [{mel_size}, frames], not {list(mel.shape)}")
    scale, frames = state.scale.feed(mel.to(state.mel), speed, final)
    whole = torch.cat([state.mel, frames], dim=1)
    known = state.begin + whole.shape[1]
    until = known if final else max(known - state.policy.look_ahead, state.played)
    return _Window(state, scale, whole, final, until)


def _render(hift: Hift, windows: list[_Window]) -> list[_Rendered]:
    """Decode windows of one length as a batch."""
    states = [window.state for window in windows]
    mel = torch.stack([window.mel for window in windows])
    guessed = hift.f0_predictor.precise(mel)
    # Values near the window's left border lack context; those that settled before are kept.
    f0 = torch.stack(
        [torch.cat([s.f0, row[s.f0.shape[0] :]]) for s, row in zip(states, guessed, strict=True)]
    )
    harmonics = hift.config.harmonics + 1
    steps = cycles_per_frame(f0, harmonics)
    phase = torch.stack([state.phase for state in states])[:, None] + steps.cumsum(1)
    at_start = torch.tensor([float(state.begin == 0) for state in states], device=f0.device)
    sines = hift.m_source.render(phase, steps, at_start)
    source = hift.m_source.merge(sines, f0, _noise(states, mel.shape[2], harmonics, f0.device))
    wave = hift.decode(mel, source)
    return [_Rendered(*row) for row in zip(wave, f0, phase, strict=True)]


def _noise(
    states: list[VocoderState], frames: int, harmonics: int, device: torch.device
) -> Tensor | None:
    seeds = [state.seed for state in states if state.seed is not None]
    if not seeds:
        return None
    first = [state.begin for state in states]
    noise = frame_noise(seeds, first, frames, MEL_HOP * harmonics, device)
    return noise.view(len(seeds), frames * MEL_HOP, harmonics)


def _commit(window: _Window, rendered: _Rendered | None) -> Tensor:
    """Write the step into the state; the sound that it plays."""
    state = window.state
    state.scale, state.finished = window.scale, window.final
    if rendered is None:
        state.mel = window.mel
        return state.tail[:0]
    after = _faded(state.tail, rendered.wave[(state.played - state.begin) * MEL_HOP :])
    count = (window.until - state.played) * MEL_HOP
    wave = after[:count]
    if window.final:
        fade_out(wave, state.policy.fade_out)
    _move(state, window, rendered, after[count : count + state.policy.fade])
    return wave


def _move(state: VocoderState, window: _Window, rendered: _Rendered, tail: Tensor) -> None:
    """Drop what no later window needs."""
    settled = max(window.known - _F0_REACH, 0)
    begin = max(min(window.until - state.left, settled - _F0_REACH), state.begin)
    past = begin - state.begin
    if past:
        cycles = rendered.phase[past - 1]
        state.phase = cycles - cycles.floor()
    state.f0 = rendered.f0[past : max(settled - state.begin, past)].clone()
    state.mel = window.mel[:, past:].clone()
    state.tail = tail.clone()
    state.begin, state.played = begin, window.until


def _faded(old: Tensor, new: Tensor) -> Tensor:
    """`new`, with its beginning cross-faded from `old`; the weights add up to 1 everywhere."""
    length = old.shape[0]
    if not length:
        return new.clone()
    rise = (torch.arange(length, device=new.device) + 0.5) / length
    return torch.cat([torch.lerp(old, new[:length], rise), new[length:]])


def fade_out(wave: Tensor, samples: int) -> None:
    """Let the last samples fall to zero, in place."""
    count = min(samples, wave.shape[0])
    if count:
        wave[-count:] *= 1.0 - (torch.arange(count, device=wave.device) + 1.0) / count
