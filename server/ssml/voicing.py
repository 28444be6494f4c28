"""One run of a document on its way from the engine's session to the task's speech."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Final

from cosyserve.engine.interface import Mark, PcmChunk, Samples, Sentence, WordTime, Work
from cosyserve.engine.segmentation.characters import speakable, weight

from ..audio.filters import Filter
from .held import HeldSession
from .parts import Run

_PACE: Final = 14.0
"""Characters a second, wide ones counting 2: for marks where the engine tells no word times."""


class Voicing:
    """An incremental transform of one run's chunks: its filter, and times and places of the whole task.

    begin: samples of the task's speech before it. tempo: what the filter makes of the pace. pace: of
    the engine, for estimates. sentences: how many began before.
    """

    def __init__(
        self,
        run: Run,
        session: HeldSession,
        filters: Filter,
        *,
        rate: int,
        begin: int,
        tempo: float,
        pace: float,
        sentences: int,
        word_times: bool,
    ) -> None:
        self.run = run
        self.session = session
        self.chunks = session.chunks()
        self.position = begin
        self.sentences = sentences
        self._filters = filters
        self._rate = rate
        self._begin = begin / rate
        self._tempo = tempo
        self._pace = pace
        self._word_times = word_times
        self._text = run.text
        self._work = Work()
        self._words: deque[WordTime] = deque()
        self._sentences: deque[Sentence] = deque()
        self._due: deque[Mark] = deque()
        self._marks = deque(sorted(run.marks, key=lambda mark: mark[0]))
        self._heard = 0.0
        self._anchor = (0.0, 0)

    def feed(self, chunk: PcmChunk) -> list[PcmChunk]:
        """What this chunk makes possible: nothing or one chunk."""
        for sentence in chunk.sentences:
            self._note_sentence(sentence)
        for word in chunk.words:
            self._note_word(word)
        self._heard += len(chunk.samples) / self._rate
        if not self._word_times:
            self._estimate_marks()
        self._work += chunk.work
        return self._give(self._filters.feed(chunk.samples))

    def finish(self) -> tuple[list[PcmChunk], tuple[Mark, ...]]:
        """The rest of the run, and the marks at its end that no chunk of it can carry."""
        samples = self._filters.finish()
        end = self._begin + self._heard / self._tempo
        self._due += [Mark(name, end) for _, name in self._marks]
        self._marks.clear()
        given = self._give(samples, last=True)
        rest = tuple(replace(mark, at=self.position / self._rate) for mark in self._due)
        self._due.clear()
        return given, rest

    def _give(self, samples: Samples, *, last: bool = False) -> list[PcmChunk]:
        if not len(samples):
            return []
        self.position += len(samples)
        end = self.position / self._rate
        words, marks = [], []
        while self._words and (last or self._words[0].begin < end):
            words.append(self._words.popleft())
        while self._due and self._due[0].at < end:
            marks.append(self._due.popleft())
        sentences, self._sentences = tuple(self._sentences), deque()
        work, self._work = self._work, Work()
        return [PcmChunk(samples, work, tuple(words), sentences, tuple(marks))]

    def _note_sentence(self, sentence: Sentence) -> None:
        self._anchor = (self._heard, sentence.text_begin)
        if sentence.number == 0 and self.run.continues:
            return  # it began in a run before
        begin, end = self.run.plain(sentence.text_begin, sentence.text_end)
        if self.run.open_end and not speakable(self._text[sentence.text_end :]):
            end = self.run.open_end
        self._sentences.append(Sentence(self.sentences, begin, end))
        self.sentences += 1

    def _note_word(self, word: WordTime) -> None:
        begin, end = (self._begin + time / self._tempo for time in (word.begin, word.end))
        while self._marks and self._marks[0][0] <= word.text_begin:
            self._due.append(Mark(self._marks.popleft()[1], begin))
        places = self.run.plain(word.text_begin, word.text_end)
        self._words.append(WordTime(begin, end, *places))

    def _estimate_marks(self) -> None:
        """Marks whose place is reached, by the pace that speech mostly has."""
        since, place = self._anchor
        while self._marks:
            offset, name = self._marks[0]
            if offset >= len(self._text.rstrip()):
                return
            ahead = sum(map(weight, self._text[place:offset])) / (_PACE * self._pace)
            at = max(since, since + ahead if offset > place else since)
            if at >= self._heard:
                return
            self._marks.popleft()
            self._due.append(Mark(name, self._begin + at / self._tempo))
