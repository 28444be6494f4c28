"""What clients do, dialect by dialect."""

from __future__ import annotations

from ..book import Book, Exchange
from . import (
    dashscope_http,
    dashscope_realtime,
    dashscope_refusals,
    dashscope_tasks,
    elevenlabs_contexts,
    elevenlabs_http,
    elevenlabs_stream,
    openai,
    rest_references,
    rest_speech,
    server,
    vllm_omni,
    websocket_closes,
    websocket_formats,
    websocket_refusals,
    websocket_tasks,
)

BOOKS: tuple[Book, ...] = (
    websocket_tasks.book,
    websocket_formats.book,
    websocket_refusals.book,
    websocket_closes.book,
    rest_references.book,
    rest_speech.book,
    dashscope_tasks.book,
    dashscope_refusals.book,
    dashscope_http.speech,
    dashscope_http.enrollment,
    dashscope_realtime.book,
    openai.speech,
    openai.lists,
    openai.refusals,
    elevenlabs_stream.book,
    elevenlabs_contexts.book,
    elevenlabs_http.speech,
    elevenlabs_http.voices,
    elevenlabs_http.dictionaries,
    elevenlabs_http.refusals,
    vllm_omni.book,
    vllm_omni.batches,
    server.handshake,
    server.operations,
    server.files,
)

EXCHANGES: tuple[Exchange, ...] = tuple(each for book in BOOKS for each in book.exchanges)
