"""From the bytes of a connection to whole events, without I/O.

An event is a line of JSON, its data (more JSON, `data_length` bytes) and a payload (`payload_length` bytes).
"""

from __future__ import annotations

from collections.abc import Iterator

from ..codec import CLOSE_UNSUPPORTED_DATA
from ..errors import BadFrame, TTSError
from ..fields import JsonObject, json_object, optional, refusal


class EventReader:
    """Cuts what a peer sends into events. The payload of an event, which none for speech has, is dropped.

    longest: bytes of the line, of the data, and of the payload; only line and data are ever kept.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._kept = bytearray()
        self._searched = 0  # bytes of these that hold no line's end
        self._line: bytes | None = None  # of the event whose data comes
        self._data_length = 0
        self._payload_length = 0
        self._dropped = 0  # bytes of payload that are still to come

    def feed(self, data: bytes) -> Iterator[str]:
        """The events that are whole now: the line and the data, with a line's end in between.

        Raises BadFrame for what is no event, or too long: nothing behind it can be read.
        """
        self._kept += data
        while True:
            drop = min(self._dropped, len(self._kept))
            del self._kept[:drop]
            self._dropped -= drop
            if self._dropped or not (self._line is not None or self._take_line()):
                return
            if len(self._kept) < self._data_length:
                return
            assert self._line is not None
            event = self._line + b"\n" + self._kept[: self._data_length]
            del self._kept[: self._data_length]
            self._line, self._dropped = None, self._payload_length
            try:
                yield event.decode()
            except UnicodeDecodeError:
                raise _bad("an event is not UTF-8") from None

    def _take_line(self) -> bool:
        """Take the next line, if it is whole. Raises BadFrame."""
        end = self._kept.find(b"\n", self._searched)
        if (len(self._kept) if end < 0 else end) > self._longest:
            raise _bad(f"line: over {self._longest} bytes, the most that is allowed")
        if end < 0:
            self._searched = len(self._kept)
            return False
        line = bytes(self._kept[:end])
        del self._kept[: end + 1]
        self._searched = 0
        try:
            fields = json_object(line, ("data", "text"))
            self._data_length = self._length(fields, "data_length")
            self._payload_length = self._length(fields, "payload_length")
        except BadFrame:
            raise
        except TTSError as error:
            raise _bad(error.message) from None
        self._line = line
        return True

    def _length(self, fields: JsonObject, name: str) -> int:
        length = optional(fields, name, int) or 0
        if not 0 <= length <= self._longest:
            raise refusal(name, length, f"0 to {self._longest}")
        return length


def _bad(message: str) -> BadFrame:
    return BadFrame(message, CLOSE_UNSUPPORTED_DATA)
