"""Record the exchanges again:

    PYTHONPATH=tests python -m support.recordings [PART OF A NAME ...]

Each is played twice, and nothing is written unless both times the same went over the wire. Shows what
changed; `git diff tests/recordings` shows it again.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path

from .book import FOLDER, BrokenOff, Exchange, difference, joined, recorded
from .exchanges import EXCHANGES


def main() -> int:
    """Exit with 0 if all that was asked for is recorded, with 1 if nothing was written."""
    parser = argparse.ArgumentParser(prog="python -m support.recordings", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names; none: all of them")
    wanted = parser.parse_args().names
    logging.disable()
    chosen = [each for each in EXCHANGES if not wanted or any(part in str(each) for part in wanted)]
    played = {str(each): text for each in chosen if (text := _play_twice(each))}
    if len(played) < len(chosen):
        print("nothing is written")
        return 1
    _write(played)
    return 0


def _play_twice(exchange: Exchange) -> str | None:
    """What both times went over the wire; None, with a word about it, if it was not the same."""
    try:
        first, second = _play(exchange), _play(exchange)
    except BrokenOff as broken:
        print(f"{exchange} broke off: {broken.__cause__!r}\n{broken}")
        return None
    if first != second:
        print(f"{exchange} is not the same twice\n{difference(first, second)}")
        return None
    return first


def _play(exchange: Exchange) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return exchange.take(Path(folder))


def _write(played: dict[str, str]) -> None:
    """Files in the order of the exchanges; those of which there is no exchange any more go."""
    before = recorded()
    after = {
        str(each): text
        for each in EXCHANGES
        if (text := played.get(str(each), before.get(str(each))))
    }
    files: dict[Path, list[str]] = {}
    for each in EXCHANGES:
        if str(each) in after:
            files.setdefault(FOLDER / f"{each.file}.txt", []).append(after[str(each)])
    for path in set(FOLDER.rglob("*.txt")) - set(files):
        path.unlink()
    for path, texts in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(joined(texts), encoding="utf-8")
        os.replace(fresh, path)
    changed = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    for name in changed:
        print(difference(before.get(name, ""), after.get(name, ""), name))
    print(f"{len(played)} of {len(EXCHANGES)} exchanges were played, {len(changed)} changed")


if __name__ == "__main__":
    sys.exit(main())
