from __future__ import annotations

import numpy as np
import pytest

from cosyserve.training.tokenizer.align import aligned, edit_distance, spoken


def frames(*labels: int) -> np.ndarray:
    """Log probabilities that are all but sure of these labels; 0 is the blank."""
    found = np.full((len(labels), 4), np.log(0.01), np.float32)
    for frame, label in enumerate(labels):
        found[frame, label] = np.log(0.97)
    return found


def test_repetitions_and_blanks_are_no_labels() -> None:
    assert spoken(frames(0, 1, 1, 0, 1, 2, 2, 0)) == [1, 1, 2]


def test_a_frame_says_the_last_label_begun() -> None:
    places = aligned(frames(0, 1, 0, 0, 2, 2, 3), [1, 2, 3])
    assert places is not None
    assert places.tolist() == [0, 0, 0, 0, 1, 1, 2]


def test_every_label_gets_a_frame_even_if_it_was_not_heard() -> None:
    places = aligned(frames(1, 0, 0, 0, 3), [1, 2, 3])
    assert places is not None
    assert sorted(set(places.tolist())) == [0, 1, 2]


def test_equal_neighbours_need_a_blank_between_them() -> None:
    assert aligned(frames(1, 1), [1, 1]) is None
    places = aligned(frames(1, 0, 1), [1, 1])
    assert places is not None
    assert places.tolist() == [0, 0, 1]


@pytest.mark.parametrize("labels", [[], [1, 2, 3]])
def test_nothing_is_aligned_with_no_labels_or_too_many(labels: list[int]) -> None:
    assert aligned(frames(1, 2), labels) is None


@pytest.mark.parametrize(
    ("found", "due", "errors"),
    [("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("kitten", "sitting", 3)],
)
def test_errors_are_counted(found: str, due: str, errors: int) -> None:
    assert edit_distance(found, due) == errors
