"""Connectionist temporal classification (Graves et al., 2006): what was said, and when."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray


def spoken(log_probs: NDArray[np.float32]) -> list[int]:
    """The likeliest labels [N, labels] without repetitions and blanks (0)."""
    best = log_probs.argmax(axis=1).tolist()
    return [label for label, _ in groupby(best) if label]


def aligned(log_probs: NDArray[np.float32], labels: Sequence[int]) -> NDArray[np.int32] | None:
    """For each of N frames the place in `labels` that it says: the last one begun, at first the first.

    The likeliest path through labels and blanks. None if there are no labels or too few frames for them.
    """
    frames, states = len(log_probs), 2 * len(labels) + 1
    if not labels or frames < len(labels):
        return None
    path = np.zeros(states, np.int64)
    path[1::2] = labels
    # A blank between two labels may be skipped unless they are the same.
    skips = np.zeros(states, bool)
    skips[3::2] = path[3::2] != path[1:-2:2]
    scores = np.full(states, -np.inf)
    scores[:2] = log_probs[0, path[:2]]
    back = np.zeros((frames, states), np.int8)
    for frame in range(1, frames):
        ways = np.full((3, states), -np.inf)
        ways[0] = scores
        ways[1, 1:] = scores[:-1]
        ways[2, 2:] = np.where(skips[2:], scores[:-2], -np.inf)
        back[frame] = ways.argmax(axis=0)
        scores = ways.max(axis=0) + log_probs[frame, path]
    state = states - 1 if scores[-1] > scores[-2] else states - 2
    if not np.isfinite(scores[state]):
        return None
    places = np.zeros(frames, np.int32)
    for frame in range(frames - 1, -1, -1):
        places[frame] = max(0, (state - 1) // 2)
        state -= int(back[frame, state])
    return places


def edit_distance(found: Sequence[object], due: Sequence[object]) -> int:
    """Insertions, deletions and replacements between two sequences."""
    row = list(range(len(due) + 1))
    for i, one in enumerate(found, 1):
        left, row[0] = row[0], i
        for j, other in enumerate(due, 1):
            left, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, left + (one != other))
    return row[-1]
