"""The tasks that wait for their first sound."""

from __future__ import annotations

from dataclasses import dataclass

from cosyserve.server.tasks.unheard import Unheard


@dataclass(eq=False)
class Task:
    name: str


class Scene:
    """Unheard tasks with a clock to turn and a list of what was told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[tuple[int, float]] = []
        self.unheard = Unheard[Task](
            lambda among, waited: self.told.append((among, waited)), lambda: self.now
        )

    def begin(self, name: str = "ann", *, text: bool = True, whole: bool = True) -> Task:
        task = Task(name)
        self.unheard.begin(task)
        if text:
            self.unheard.has_text(task)
        if text and whole:
            self.unheard.has_all_text(task)
        return task


def test_tasks_count_from_their_beginning_to_their_first_sound() -> None:
    scene = Scene()
    ann, bob = scene.begin("ann", text=False), scene.begin("bob")
    assert scene.unheard.counts() == {"ann": 1, "bob": 1}
    scene.unheard.has_text(ann)
    scene.unheard.heard(bob)
    assert scene.unheard.counts().total() == scene.unheard.counts()["ann"] == 1
    scene.unheard.discard(ann)
    scene.unheard.discard(ann)
    assert scene.unheard.counts().total() == 0


def test_a_task_without_text_counts_for_a_moment_and_again_once_it_has_some() -> None:
    scene = Scene()
    task, _ = scene.begin(text=False), scene.begin(text=False)
    scene.now = 0.25
    assert scene.unheard.counts().total() == 0
    scene.unheard.has_text(task)
    assert scene.unheard.counts().total() == 1


def test_it_tells_how_many_were_before_a_task_and_how_long_it_waited() -> None:
    scene = Scene()
    tasks = [scene.begin() for _ in range(3)]
    for task in tasks:
        scene.now += 0.5
        scene.unheard.heard(task)
    assert scene.told == [(1, 0.5), (2, 1.0), (3, 1.5)]


def test_a_task_whose_text_comes_in_pieces_tells_nothing() -> None:
    scene = Scene()
    task = scene.begin(whole=False)
    scene.now = 0.1
    scene.unheard.has_all_text(task)
    scene.unheard.heard(task)
    ended = scene.begin()
    scene.unheard.discard(ended)
    scene.unheard.heard(ended)
    assert scene.told == []
