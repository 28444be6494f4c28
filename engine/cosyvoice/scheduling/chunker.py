"""When an utterance's tokens go to the flow: the hops of one session, and how urgent they are.

The first hop is short, for the first sound; what it gives out early is computed again, exactly, by the
hop after it. From there on hops end on the flow's grid of chunks, where its result does not depend on
how the tokens were grouped: so hops may follow the listener. While little is buffered each is one
chunk; while much is, they double up to a limit, since longer hops cost less per second of sound.

So the first sound is sent when the LM has drawn HopPolicy.first tokens and the flow's look-ahead (3), the
voice's prompt is on the device, the Batcher has computed the hop, and the vocoder has more mel than the
crossfade holds back.

Which sound comes out depends on the tokens alone. The only hop that could change it, the first, has a
length that no timing decides; that is why it is made even where the utterance is known to end soon after.

Nothing here knows torch or a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..config import TOKEN_RATE


@dataclass(frozen=True, slots=True)
class HopPolicy:
    """Lengths are in speech tokens (25 a second).

    first: of an utterance's first hop where the listener waits for it; 0 for the first chunk border
        at least a chunk away, which is how the reference begins. Fewer: lower latency, slightly lower
        fidelity.
    longest: of any hop but an utterance's last, which may be half a chunk longer.
    comfortable: seconds of sound that the listener must have buffered before hops grow.

    Raises ValueError.
    """

    first: int = 15
    longest: int = 100
    comfortable: float = 3.0

    def __post_init__(self) -> None:
        if self.first < 0 or self.longest < 1 or self.comfortable < 0:
            raise ValueError("first and comfortable are at least 0, longest at least 1")


@dataclass(frozen=True, slots=True)
class Hop:
    """Tokens for one step of the flow. early: also give out frames of a chunk that is not complete."""

    tokens: tuple[int, ...]
    early: bool
    final: bool


class TokenChunker:
    """One utterance's tokens, cut into hops. The grid of chunks begins at the prompt's first token."""

    def __init__(
        self, policy: HopPolicy, *, chunk: int, look_ahead: int, prompt_tokens: int
    ) -> None:
        self._policy = policy
        self._chunk = chunk
        self._look_ahead = look_ahead
        self._offset = prompt_tokens % chunk
        self._waiting: list[int] = []
        self._given = 0
        self._asked = 0
        self._chunks = 1
        self._finished = False
        self._over = False

    @property
    def total(self) -> int:
        """Tokens received so far."""
        return self._given + len(self._waiting)

    @property
    def over(self) -> bool:
        """Whether the last hop has been taken."""
        return self._over

    @property
    def finished(self) -> bool:
        """Whether all tokens have come."""
        return self._finished

    def add(self, tokens: Sequence[int]) -> None:
        self._waiting.extend(tokens)

    def finish(self) -> None:
        """No more tokens come. Idempotent."""
        self._finished = True

    def take(self, buffered: float) -> Hop | None:
        """The next hop, None if there are too few tokens for it.

        buffered: estimated seconds of sound that the listener has not played yet.
        """
        if self._over:
            return None
        chunks = self._next_length(buffered)
        border = self._border(chunks)
        needed = border + self._look_ahead
        # A few last tokens are not worth a pass of their own, but where timing would decide it.
        spare = self._chunk // 2 if self._asked else -1
        if self._finished and self.total <= needed + spare:
            return self._give(self.total, early=False, final=True)
        while self.total < needed:  # growth does not hold back what is there
            if chunks == 1:
                return None
            chunks -= 1
            border, needed = border - self._chunk, needed - self._chunk
        self._asked, self._chunks = border, chunks
        return self._give(needed, early=not self._on_grid(border), final=False)

    def _give(self, until: int, *, early: bool, final: bool) -> Hop:
        count = until - self._given
        tokens, self._waiting = self._waiting[:count], self._waiting[count:]
        self._given += len(tokens)
        self._over = final
        return Hop(tuple(tokens), early, final)

    def _next_length(self, buffered: float) -> int:
        """In chunks: twice the last one's while enough is buffered to play meanwhile."""
        if not self._asked or buffered < self._policy.comfortable:
            return 1
        longer = 2 * self._chunks * self._chunk
        grows = longer <= self._policy.longest and longer <= buffered * TOKEN_RATE
        return 2 * self._chunks if grows else self._chunks

    def _border(self, chunks: int) -> int:
        """How far the next hop's sound is to reach, in tokens of the utterance."""
        if not self._asked:
            return self._policy.first or self._border_from(self._chunk)
        # A border right after an early one would be a whole pass for a few frames.
        least = self._asked + (1 if self._on_grid(self._asked) else self._chunk // 3)
        return self._border_from(least) + (chunks - 1) * self._chunk

    def _border_from(self, least: int) -> int:
        return least + -(self._offset + least) % self._chunk

    def _on_grid(self, tokens: int) -> bool:
        return (self._offset + tokens) % self._chunk == 0


class Listener:
    """The playback of a client that plays in real time whatever it reads. Times are seconds."""

    def __init__(self, begun: float) -> None:
        """begun: when it began to wait."""
        self._waits_since: float | None = begun
        self._runs_dry = begun
        self.unread = 0.0

    def made(self, seconds: float) -> None:
        self.unread += seconds
        self._waits_since = None

    def read(self, seconds: float, now: float) -> None:
        self.unread -= seconds
        self._runs_dry = max(self._runs_dry, now) + seconds

    def buffered(self, now: float) -> float:
        """Seconds not played yet, read or not."""
        return max(self._runs_dry - now, 0.0) + self.unread

    def deadline(self, now: float) -> float:
        """When it runs dry. A listener that has heard nothing yet has been waiting since its text came."""
        if self._waits_since is not None:
            return self._waits_since
        return max(self._runs_dry, now) + self.unread
