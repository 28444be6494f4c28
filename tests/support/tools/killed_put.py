"""A program that is killed at every step of a put in turn, by SIGKILL, each time in a fresh process.

    local FOLDER          steps: system calls (a write takes at most 400 bytes)
    s3 ENDPOINT BUCKET    steps: requests

Prints one JSON object: the ids of all puts in order, and the names of the last one's steps, which
ran to its end.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cosyserve.server.voices import LocalStore, Reference, ReferenceStore, S3Store
from support.peers.references import SOUND, make_reference
from support.peers.s3 import options

_CALLS = ("open", "write", "fsync", "close", "replace", "unlink")


class Steps:
    """Counts steps and dies before the one that is due."""

    def __init__(self, due: int) -> None:
        self.names: list[str] = []
        self._due = due

    def take(self, name: str) -> None:
        if len(self.names) == self._due:
            os.kill(os.getpid(), signal.SIGKILL)
        self.names.append(name)


async def killed_at_each_step(*arguments: str) -> dict[str, list[str]]:
    """Run this program with these arguments; what it prints."""
    tests = str(Path(__file__).parents[2])
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "support.tools.killed_put", *arguments],
        check=True,
        stdout=subprocess.PIPE,
        cwd=tests,
    )
    said: dict[str, list[str]] = json.loads(ran.stdout)
    return said


def watch_system_calls(steps: Steps) -> None:
    def watched(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*arguments: Any) -> Any:
            steps.take(name)
            if name == "write":
                arguments = (arguments[0], arguments[1][:400])
            return real(*arguments)

        return call

    for name in _CALLS:
        setattr(os, name, watched(name))


def watch_requests(steps: Steps) -> None:
    from aiobotocore.client import AioBaseClient

    real = AioBaseClient._make_api_call

    async def call(client: Any, operation: str, arguments: Any) -> Any:
        steps.take(f"{operation} {arguments['Key'].split('/')[1]}")
        return await real(client, operation, arguments)

    AioBaseClient._make_api_call = call


def put(
    open_store: Callable[[], ReferenceStore],
    watch: Callable[[Steps], None],
    reference: Reference,
    due: int,
) -> list[str]:
    async def run() -> list[str]:
        store = open_store()
        await store.start()
        steps = Steps(due)
        watch(steps)
        await store.put(reference, SOUND)
        return list(steps.names)

    return asyncio.run(run())


def main(kind: str, place: str, *bucket: str) -> None:
    watch: Callable[[Steps], None]
    open_store: Callable[[], ReferenceStore]
    if kind == "local":
        open_store, watch = lambda: LocalStore(Path(place)), watch_system_calls
    else:
        import aiobotocore.session  # noqa: F401  # once, rather than in every child

        open_store, watch = lambda: S3Store(options(place, *bucket)), watch_requests
    ids: list[str] = []
    while True:
        reference = make_reference(name="anna")
        ids.append(reference.id)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            steps = put(open_store, watch, reference, len(ids) - 1)
            with open(writer, "w") as pipe:
                json.dump(steps, pipe)
            os._exit(0)
        os.close(writer)
        with open(reader) as pipe:
            said = pipe.read()
        _, status = os.waitpid(child, 0)
        if status != signal.SIGKILL:
            assert status == 0
            print(json.dumps({"ids": ids, "steps": json.loads(said)}))
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
