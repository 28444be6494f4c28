"""What is the same for all dialects: handshakes, files, and what operators ask."""

from __future__ import annotations

import re

from ..book import Book
from ..stage import ALICE, NOBODY, Stage
from .frames import INFERENCE, SPEECH, finish, run_task

handshake = Book("server/handshake")
operations = Book("server/operations")
files = Book("server/files")

STREAM = "/v1/text-to-speech/plain/stream-input"
MULTI = "/v1/text-to-speech/plain/multi-stream-input"
ADDRESSES = (SPEECH, INFERENCE, STREAM, MULTI)


# Handshakes


@handshake.exchange()
async def upgrades_that_are_accepted(stage: Stage) -> None:
    for path in (*ADDRESSES, f"{SPEECH}?unknown=1", f"{SPEECH}/"):
        async with stage.open(path, head=True):
            pass
    async with stage.open(SPEECH, {"Authorization": "alice-secret"}, head=True):
        pass
    for path in (STREAM, MULTI):
        async with stage.open(path, {"xi-api-key": "alice-secret"}, head=True):
            pass


@handshake.exchange()
async def tokens_in_a_subprotocol(stage: Stage) -> None:
    for offered in (["cosyvoice.v1", "bearer.alice-secret"], ["bearer.alice-secret"]):
        async with stage.open(SPEECH, NOBODY, head=True, subprotocols=offered):
            pass
    async with stage.open(SPEECH, head=True, subprotocols=["other", "cosyvoice.v1"]):
        pass
    for offered in (["cosyvoice.v1", "bearer.wrong"], ["cosyvoice.v1"]):
        await stage.refused(SPEECH, NOBODY, subprotocols=offered)


@handshake.exchange(tokens=())
async def a_server_that_is_open_to_all(stage: Stage) -> None:
    async with stage.open(SPEECH, NOBODY, head=True):
        pass
    for path in ADDRESSES:
        await stage.refused(path, {"Origin": "http://evil.example"})


@handshake.exchange()
async def upgrades_without_a_valid_token(stage: Stage) -> None:
    for path in ADDRESSES:
        await stage.refused(path, NOBODY)
    for value in ("Bearer wrong", "Bearer ", ""):
        await stage.refused(SPEECH, {"Authorization": value})
    await stage.refused(SPEECH, {"xi-api-key": "alice-secret"})
    await stage.refused(STREAM, {"xi-api-key": "wrong"})


@handshake.exchange()
async def addresses_that_no_dialect_has(stage: Stage) -> None:
    for path in ("/", "/api-ws/v1/nowhere", f"{SPEECH}/more", "/v1/text-to-speech//stream-input"):
        await stage.refused(path)
    await stage.refused(SPEECH + "?" + "&".join(f"f{n}=1" for n in range(101)))


@handshake.exchange()
async def addresses_that_ask_for_what_there_is_not(stage: Stage) -> None:
    for path in (STREAM, MULTI):
        for query in (
            "output_format=ulaw_16000",
            "model_id=tts-1",
            "inactivity_timeout=181",
            "inactivity_timeout=soon",
            "auto_mode=perhaps",
            "sync_alignment=2",
            "enable_ssml_parsing=no",
            "apply_text_normalization=maybe",
            "seed=-1",
        ):
            await stage.refused(f"{path}?{query}")
    await stage.refused(STREAM.replace("plain", "v" * 129))


@handshake.exchange(max_connections=1)
async def more_connections_than_are_allowed(stage: Stage) -> None:
    async with stage.open(SPEECH):
        for path in ADDRESSES:
            await stage.refused(path)


@handshake.exchange()
async def a_server_that_shuts_down(stage: Stage) -> None:
    stage.server.services.admission.drain()
    for path in ADDRESSES:
        await stage.refused(path)


@handshake.exchange()
async def a_request_without_an_upgrade(stage: Stage) -> None:
    for path in ADDRESSES:
        await stage.get(path)


# What operators ask


@operations.exchange()
async def health_and_version(stage: Stage) -> None:
    for path in ("/healthz", "/readyz"):
        await stage.get(path, NOBODY)
    await stage.get("/version")
    await stage.get("/version", NOBODY)
    for path in ("/healthz", "/readyz", "/version", "/metrics"):
        await stage.request("POST", path)


@operations.exchange(engine={"voices": False, "word_times": True, "instruct": "keywords"})
async def a_server_that_is_not_ready(stage: Stage) -> None:
    await stage.get("/version")
    await stage.engine.stop()
    for path in ("/healthz", "/readyz"):
        await stage.get(path, NOBODY)
    stage.server.services.admission.drain()
    for path in ("/healthz", "/readyz"):
        await stage.get(path, NOBODY)


@operations.exchange()
async def heads_and_requests_that_are_none(stage: Stage) -> None:
    await stage.request("HEAD", "/healthz")
    await stage.get("/healthz?" + "q" * 20_000)
    await stage.get("/healthz", {"X-Long": "x" * 20_000})


@operations.exchange()
async def metrics(stage: Stage) -> None:
    """Of the page only the families: their types, and the names of their labels."""
    ahead = '<speak><break time="1s"/>one</speak>'  # so that a slow machine does not run dry
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t", enable_ssml=True), finish("t", ahead))
        await talk.until("task-finished")
    for accept in ("text/plain", "application/openmetrics-text; version=1.0.0"):
        request = {**ALICE, "Accept": accept}
        answer = await stage.get("/metrics", request, show="head")
        for line in _families(answer.body.decode()):
            stage.say(line)


def _families(page: str) -> list[str]:
    """Name and type of each family of ours, with its labels; those of processes are the platform's."""
    labels: dict[str, set[str]] = {}
    for name, given in re.findall(r"^(\w+?)(?:\{(.*)\})? ", page, re.MULTILINE):
        labels.setdefault(name, set()).update(re.findall(r'(\w+)="', given))
    found = []
    for family, kind in re.findall(r"^# TYPE (\w+) (\w+)$", page, re.MULTILINE):
        if not family.startswith("process_"):
            samples = {name: each for name, each in labels.items() if name.startswith(family)}
            names = sorted(set().union(*samples.values()))
            found.append(f"{kind} {family} ({', '.join(names)})")
    return sorted(found)


# Files


@files.exchange()
async def pages_and_contracts(stage: Stage) -> None:
    resources = stage.server.http.app.router.resources()
    paths = {resource.canonical for resource in resources}
    for path in sorted(path for path in paths if re.match("/(docs|page)(/|$)|/$", path)):
        await stage.get(path, NOBODY, show="digest")


@files.exchange()
async def heads_of_files(stage: Stage) -> None:
    paths = ("/", "/page/style.css", "/docs", "/docs/openapi.yaml")
    for path in paths:
        answer = await stage.get(path, NOBODY, show="head")
        known = {"If-None-Match": answer.header("ETag")}
        await stage.get(path, known)
    await stage.get("/docs", {"Accept-Encoding": "gzip"}, show="head")
    await stage.request("POST", "/")
    await stage.get("/page/nothing.js")


@files.exchange(tokens=())
async def the_page_of_a_server_that_is_open_to_all(stage: Stage) -> None:
    await stage.get("/", NOBODY, show="digest")


@files.exchange(page=False)
async def a_server_without_the_page(stage: Stage) -> None:
    await stage.get("/")
    await stage.get("/docs", NOBODY, show="digest")
