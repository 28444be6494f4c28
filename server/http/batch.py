"""An answer with the sounds of several texts: one JSON document, written item by item."""

from __future__ import annotations

import orjson
import pybase64
from aiohttp import web

from cosyserve.protocol.errors import PayloadTooLarge, TTSError
from cosyserve.protocol.vllm_omni.batch import BatchItem, failure, success

from ..delivery import Spool
from ..errors import as_tts_error
from ..tasks.life import TaskLife
from .envelope import CALLER, REQUEST_ID, SERVICES
from .sending import UNTIL_SENT
from .task import HttpTask
from .whole import SoundPlace, SpooledSound, json_pieces, spool_pieces


class BatchAnswer:
    """Speaks items one after another, so that a batch has one place in the engine at a time, as others have.

    An item's sound goes through a spool of its own, whose head is complete only at its end, into that of the
    answer, in base64.
    """

    def __init__(self, request: web.Request) -> None:
        services = request.app[SERVICES]
        self._request = request
        self._most = services.settings.max_whole_bytes
        self._spool = services.spools.open(request[CALLER].name)
        self._sound_size = 0  # bytes, of all items so far
        self._index = 0  # of the next item
        self._failed = 0

    async def response(self, items: tuple[BatchItem | TTSError, ...]) -> web.Response:
        """The answer when all are spoken. Raises TTSError if it finds no room; an item's failure is in it."""
        try:
            name = orjson.dumps(f"speech-batch-{self._request[REQUEST_ID]}")
            await self._spool.write(b'{"id":' + name + b',"results":[')
            for item in items:
                await self._add(item)
            counts = {
                "total": len(items),
                "succeeded": len(items) - self._failed,
                "failed": self._failed,
            }
            await self._spool.write(b"]," + orjson.dumps(counts)[1:])
        except BaseException:
            self._spool.close()  # an error's answer holds nothing
            raise
        self._spool.made()
        self._request[UNTIL_SENT].enter_context(self._spool)
        return web.Response(body=SpooledSound(self._spool, "application/json; charset=utf-8"))

    async def _add(self, item: BatchItem | TTSError) -> None:
        index, self._index = self._index, self._index + 1
        if index:
            await self._spool.write(b",")
        writing = False
        try:
            if isinstance(item, TTSError):
                raise item
            async with HttpTask(self._request, item.speech, item.text, item.model).spoken() as (
                life,
                sound,
            ):
                if self._sound_size + sound.size > self._most:
                    raise PayloadTooLarge(
                        f"the batch's sound is longer than {self._most} bytes, the most for one answer"
                    )
                writing = True
                await self._write(index, item, life, sound)
        except Exception as error:
            if writing:  # part of the result is in the answer
                raise
            self._failed += 1
            await self._spool.write(orjson.dumps(failure(index, as_tts_error(error))))

    async def _write(self, index: int, item: BatchItem, life: TaskLife, sound: Spool) -> None:
        self._sound_size += sound.size
        place = SoundPlace()
        media_type = item.speech.output_format.content_type
        account = life.account
        result = success(index, place, media_type, account.characters, account.speech_seconds)
        for piece in json_pieces(result, place):
            if piece is not None:
                await self._spool.write(piece)
                continue
            async for part in spool_pieces(sound, 0, sound.size):
                await self._spool.write(pybase64.b64encode(part))
