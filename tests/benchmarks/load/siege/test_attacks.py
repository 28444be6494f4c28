"""Each attack, small, against a small server: what the attacker gets."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from cosyserve.benchmarks.load.siege.attack import Ground
from cosyserve.benchmarks.load.siege.attacks import ATTACKS, chosen
from cosyserve.server.app import serve
from cosyserve.server.settings import load_settings
from support.engines.fake_engine import FakeEngine

GETS: Final = {
    "none": set(),
    "whole-answers": {"200"},
    "whole-breaks": {"200"},
    "whole-timestamps": {"200"},
    "unread-streams": {"200", "101"},
    "body-gzip": {"415"},
    "body-fields": {"400"},
    "body-anonymous": {"401"},
    "body-nested": {"400"},
    "head-long": {"400"},
    "head-slow": {"opened"},
    "head-none": {"opened"},
    "foreign": {"400", "401", "404"},
    "flood-pings": {"101"},
    "flood-unread-pings": {"101"},
    "flood-unknown-actions": {"101"},
    "flood-characters": {"101"},
    "flood-empty-texts": {"101"},
    "flood-fragments": {"101"},
    "upload-long": {"200", "delete 200"},
    "upload-flac": {"200", "delete 200"},
    "upload-many": {"200", "delete 200"},
    "upload-endless": {"429"},
    "clip-list": {"200"},
    "places": {"101", "429", "tasks started", "tasks failed"},
    "trickle": {"101", "tasks started", "tasks failed"},
    "crowd": {"101", "429", "tasks finished"},
    "connections": {"101", "429"},
}
SCALE: Final = {"unread-streams": 0.08, "upload-endless": 0.2, "connections": 0.002}
"""Of those for which a twentieth is too little or too much."""


class Watched(Counter[str]):
    """Tells when all of these have been counted."""

    def __init__(self, wanted: set[str]) -> None:
        super().__init__()
        self._wanted = wanted
        self.there = asyncio.Event()

    def __setitem__(self, what: str, count: int) -> None:
        super().__setitem__(what, count)
        if self._wanted <= self.keys():
            self.there.set()


def test_every_attack_is_tried() -> None:
    assert [attack.name for attack in ATTACKS] == list(GETS)


@pytest.mark.parametrize("name", [name for name, wanted in GETS.items() if wanted])
async def test_an_attacker_gets_what_an_attacker_should(name: str, tmp_path: Path) -> None:
    (attack,) = chosen([name])
    scale = SCALE.get(name, 0.05)
    if attack.prepare is not None:
        await asyncio.to_thread(attack.prepare, tmp_path, "alice", scale)
    settings = load_settings(
        {
            "port": 0,
            "host": "127.0.0.1",
            "tokens": ("alice=alice-secret", "bob=bob-secret"),
            "references": str(tmp_path),
            "max_connections": 10,
            "max_tasks": 10,
            "max_uploads": 1,
        }
    )
    async with serve(settings, FakeEngine()) as server:
        got = Watched(GETS[name])
        ground = Ground(server.url, "alice-secret", "plain", scale, got)
        leading = asyncio.create_task(attack.lead(ground))
        there = asyncio.create_task(got.there.wait())
        await asyncio.wait([leading, there], return_when=asyncio.FIRST_COMPLETED)
        leading.cancel()
        there.cancel()
        await asyncio.wait([leading, there])
    assert GETS[name] <= got.keys()
    assert not {what for what in got if what.endswith(("unanswered", "500"))}


def test_attacks_are_chosen_by_name_and_by_what_comes_before_a_hyphen() -> None:
    assert chosen([]) == list(ATTACKS)
    assert [each.name for each in chosen(["foreign", "body"])] == [
        *(f"body-{kind}" for kind in ("gzip", "fields", "anonymous", "nested")),
        "foreign",
    ]
    with pytest.raises(ValueError, match=r"bod: no such attack; allowed: none, whole-answers"):
        chosen(["bod"])
