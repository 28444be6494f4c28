"""Who gets device memory: admission by bytes.

A session costs what its caches grow by per second of speech, times the length it is expected to have; a
voice's prompt costs once for all who speak in it; the LM's cache is counted as it stands. A session that
fits keeps all of its context, which is exact. One that does not fit gets, as the operator has chosen
(`overflow`):

    window      a bounded left context: an approximation, with a bounded cost
    recompute   no caches of its own: exact, at a cost in time that grows with the position
    refuse      nothing

and where not even that fits, EngineBusy.

So a session falls back to a window for one of two reasons: at its admission (`admit`), its expected
length did not fit; or it grew beyond that length while the budget was exceeded (`must_narrow`). Both
happen with overflow "window" only: with "recompute" or "refuse" a session that grows may exceed the
budget, as a refusal in the midst of speech helps nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ...interface import EngineBusy
from ..config import FRAMES_PER_TOKEN, TOKEN_RATE
from ..flow import RECOMPUTE, ContextPolicy

Overflow = Literal["window", "recompute", "refuse"]


@dataclass(frozen=True, slots=True)
class SessionCosts:
    """The cost of a session.

    token_bytes: cache bytes per token.
    fixed_bytes: per-session overhead.
    expected_tokens: that a session is expected to hold at once.
    window_tokens: in a window.
    chunk_tokens: in one chunk of the flow, which every step needs.
    """

    token_bytes: int
    fixed_bytes: int
    expected_tokens: int
    window_tokens: int
    chunk_tokens: int

    @classmethod
    def of(
        cls,
        token_bytes: int,
        chunk_tokens: int,
        expected_seconds: float,
        window_seconds: float,
        fixed_bytes: int = 0,
    ) -> SessionCosts:
        return cls(
            token_bytes,
            fixed_bytes,
            round(expected_seconds * TOKEN_RATE),
            round(window_seconds * TOKEN_RATE),
            chunk_tokens,
        )

    @property
    def exact(self) -> int:
        return self._bytes(max(self.expected_tokens, self.chunk_tokens))

    @property
    def window(self) -> int:
        # A page is dropped when all of it has left the window, so one more is held.
        return self._bytes(self.window_tokens + 2 * self.chunk_tokens)

    @property
    def recompute(self) -> int:
        return self._bytes(self.chunk_tokens)

    def _bytes(self, tokens: int) -> int:
        return self.fixed_bytes + self.token_bytes * tokens

    @property
    def exact_policy(self) -> ContextPolicy:
        # What was reserved is taken at once.
        return ContextPolicy(room=self.expected_tokens * FRAMES_PER_TOKEN)

    @property
    def window_policy(self) -> ContextPolicy:
        return ContextPolicy(window=self.window_tokens * FRAMES_PER_TOKEN)


@dataclass(eq=False, slots=True)
class MemoryLease:
    """A session's share. policy: how much of its context it may keep. reserved, used: bytes."""

    policy: ContextPolicy
    reserved: int
    used: int = 0

    @property
    def nbytes(self) -> int:
        return max(self.reserved, self.used)


@dataclass(slots=True)
class MemoryCounts:
    """Sessions. windowed, recomputed, refused: at admission. narrowed: to a window, later."""

    windowed: int = 0
    recomputed: int = 0
    refused: int = 0
    narrowed: int = 0


class MemoryBudget:
    """The account of the device's memory. No tensor passes through here.

    elsewhere: bytes of the budget that others take now. make_room: frees this many bytes that nobody uses.
    """

    def __init__(
        self,
        budget: int,
        costs: SessionCosts,
        overflow: Overflow,
        elsewhere: Callable[[], int] = lambda: 0,
        make_room: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.budget = budget
        self.counts = MemoryCounts()
        self._costs = costs
        self._overflow = overflow
        self._elsewhere = elsewhere
        self._make_room = make_room
        self._leases: set[MemoryLease] = set()

    @property
    def leased(self) -> int:
        """Bytes that sessions hold or are promised."""
        return sum(lease.nbytes for lease in self._leases)

    @property
    def session_bytes(self) -> int:
        """Bytes that sessions hold now."""
        return sum(lease.used for lease in self._leases)

    @property
    def free(self) -> int:
        return self.budget - self.leased - self._elsewhere()

    def admit(self, prompt_bytes: int) -> MemoryLease:
        """A share for one more session; its voice's prompt will take `prompt_bytes` besides.

        Raises EngineBusy.
        """
        costs = self._costs
        if self._fits(prompt_bytes + costs.exact):
            return self._lease(costs.exact_policy, costs.exact)
        windows = self._overflow == "window" and costs.window < costs.exact
        if windows and self._fits(prompt_bytes + costs.window):
            self.counts.windowed += 1
            return self._lease(costs.window_policy, costs.window)
        if self._overflow == "recompute" and self._fits(prompt_bytes + costs.recompute):
            self.counts.recomputed += 1
            return self._lease(RECOMPUTE, costs.recompute)
        self.counts.refused += 1
        raise EngineBusy("the engine has no memory left for another session")

    def close(self, lease: MemoryLease) -> None:
        """Idempotent."""
        self._leases.discard(lease)

    def must_narrow(self, lease: MemoryLease, used: int) -> ContextPolicy | None:
        """Note what a session holds now; returns the policy it must go on with, None for its own."""
        lease.used = used
        if lease not in self._leases or used <= lease.reserved:
            return None
        if not lease.policy.keeps_all or self._overflow != "window" or self._fits(0):
            return None
        self.counts.narrowed += 1
        lease.policy = self._costs.window_policy
        return lease.policy

    def _fits(self, nbytes: int) -> bool:
        if nbytes > self.free:
            self._make_room(nbytes - self.free)
        return nbytes <= self.free

    def _lease(self, policy: ContextPolicy, reserved: int) -> MemoryLease:
        lease = MemoryLease(policy, reserved)
        self._leases.add(lease)
        return lease
