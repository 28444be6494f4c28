"""What clients do, dialect by dialect."""

from __future__ import annotations

from ..book import Exchange
from . import websocket_closes, websocket_formats, websocket_refusals, websocket_tasks

BOOKS = (
    websocket_tasks.book,
    websocket_formats.book,
    websocket_refusals.book,
    websocket_closes.book,
)

EXCHANGES: tuple[Exchange, ...] = tuple(each for book in BOOKS for each in book.exchanges)
