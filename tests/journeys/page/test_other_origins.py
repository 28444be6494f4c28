"""A page of another origin in a real browser: it may use the REST API where its origin is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cosyserve.server.app import RunningServer

from .conftest import serving

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ASK = """async ([url, token, body]) => {
  try {
    const answer = await fetch(url, {
      method: body ? 'POST' : 'GET',
      headers: {
        ...(token && { Authorization: `Bearer ${token}` }),
        ...(body && { 'Content-Type': 'application/json' }),
        'X-Stainless-Lang': 'js',
      },
      body,
    });
    const size = (await answer.arrayBuffer()).byteLength;
    return [answer.status, size > 0, answer.headers.get('X-Request-Id') !== null];
  } catch (error) {
    return error.name;
  }
}"""
SPEAK = """([url, token]) => new Promise((resolve) => {
  const socket = new WebSocket(url, ['cosyvoice.v1', `bearer.${token}`]);
  socket.onopen = () => resolve('open');
  socket.onclose = () => resolve('closed');
})"""
SPEECH = '{"model": "tts-1", "voice": "alloy", "input": "Hello.", "response_format": "pcm"}'


async def test_an_allowed_page_reads_answers_and_errors_of_every_door(
    browser: Browser, server: RunningServer, tmp_path: Path
) -> None:
    page = await browser.new_page()
    await page.goto(
        f"{server.url}/healthz"
    )  # a page of another origin, without a policy of its own
    elevenlabs = "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM?output_format=pcm_24000"
    async with serving(tmp_path, tokens="alice=open-sesame", allowed_origins=server.url) as other:
        for path, body, status in (
            ("/v1/audio/speech", SPEECH, 200),
            ("/api/v1/audio/reference_audio", None, 200),
            ("/api/v1/audio/speech", "{", 400),
            (elevenlabs, '{"text": "Hello."}', 200),
            ("/v1/models", None, 200),
            ("/v1/nothing", None, 404),
            ("/v1/audio/speech", "{", 400),
        ):
            asked = [other.url + path, "open-sesame", body]
            assert await page.evaluate(ASK, asked) == [status, True, True], path
            assert await page.evaluate(ASK, [other.url + path, "", body]) == [401, True, True]
        socket = other.url.replace("http", "ws") + "/api-ws/v1/audio/speech"
        assert await page.evaluate(SPEAK, [socket, "open-sesame"]) == "open"
    await page.close()


async def test_another_page_reads_nothing(
    browser: Browser, server: RunningServer, tmp_path: Path
) -> None:
    page = await browser.new_page()
    await page.goto(f"{server.url}/healthz")
    async with serving(tmp_path, tokens="alice=open-sesame") as other:
        for body in (SPEECH, None):
            asked = [f"{other.url}/v1/audio/speech", "open-sesame", body]
            assert await page.evaluate(ASK, asked) == "TypeError"
    await page.close()
