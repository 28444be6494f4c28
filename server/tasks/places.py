"""Which part of a task's text its listener has heard, for listeners who stop it."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import replace
from typing import Final

from cosyserve.protocol.errors import InvalidState
from cosyserve.protocol.messages import Heard, TaskFinished
from cosyserve.protocol.task import ENDED_REMEMBERED

from .synthesis import SpokenChunk

MOST_PLACES: Final = 10_000
"""Places of ended tasks that a connection keeps: 160 KB."""
_HALF_A_MILLISECOND: Final = 0.0005  # clients count in milliseconds


class SpokenPlaces:
    """The times at which the sound of a task reaches places of its text. Takes 16 bytes a place.

    A place is the end of a word or, where the engine knows no word times, the border of two sentences.
    """

    def __init__(self, *, exact: bool) -> None:
        """exact: whether the engine knows the times of words."""
        self._exact = exact
        self._times = array("d")  # seconds, ascending
        self._ends = array("q")  # code points of the text
        self._seconds = 0.0  # of the sound so far

    def __len__(self) -> int:
        return len(self._times)

    def add(self, chunk: SpokenChunk, begin: float) -> None:
        """Take the next chunk, before which there are `begin` seconds of sound."""
        self._seconds = begin + chunk.seconds
        if self._exact:
            for word in chunk.words:
                self._reach(word.end, word.text_end)
        else:
            for sentence in chunk.sentences:
                if sentence.number > 0:
                    self._reach(begin, sentence.text_begin)

    def end(self, text_end: int) -> None:
        """The sound so far is the whole speech of a text with so many code points."""
        self._reach(self._seconds, text_end)

    def heard(self, played: float) -> Heard:
        """What was heard in so many seconds of the sound; they count as far as there is sound."""
        played = min(played, self._seconds)
        count = bisect_right(self._times, played + _HALF_A_MILLISECOND)
        return Heard(played, self._ends[count - 1] if count else 0, not self._exact)

    def _reach(self, seconds: float, text_end: int) -> None:
        self._times.append(seconds)
        self._ends.append(text_end)


class EndedTasks:
    """The latest tasks of a connection that ended, for clients that still play their sound."""

    def __init__(self) -> None:
        self._ended: OrderedDict[str, tuple[TaskFinished, SpokenPlaces]] = OrderedDict()
        self._places = 0  # of all of them

    def keep(self, finished: TaskFinished, places: SpokenPlaces) -> None:
        """Remember a task, and forget the oldest ones over MOST_PLACES and ENDED_REMEMBERED."""
        self._drop(finished.task_id)
        self._ended[finished.task_id] = finished, places
        self._places += len(places)
        while self._places > MOST_PLACES or len(self._ended) > ENDED_REMEMBERED:
            self._drop(next(iter(self._ended)))

    def cancelled(self, task_id: str, played: float) -> TaskFinished:
        """The answer to a cancel-task. Raises InvalidState if the task is forgotten."""
        found = self._drop(task_id)
        if found is None:
            message = "cancel-task: the task has ended too long ago to tell what of it was heard"
            raise InvalidState(message).for_task(task_id)
        finished, places = found
        return replace(finished, finish_reason="cancelled", heard=places.heard(played))

    def _drop(self, task_id: str) -> tuple[TaskFinished, SpokenPlaces] | None:
        found = self._ended.pop(task_id, None)
        if found is not None:
            self._places -= len(found[1])
        return found
