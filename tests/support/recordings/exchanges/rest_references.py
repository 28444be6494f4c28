"""Reference audio over REST."""

from __future__ import annotations

from dataclasses import replace

from ..book import Book
from ..stage import ALICE, BOB, NOBODY, Stage
from ..uploads import BARE, CLIP, PATH, SILENT, form, wav

book = Book("rest/references")

UNKNOWN_ID = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
WORDS = {"text": "What is said."}


@book.exchange()
async def a_clip_from_upload_to_deletion(stage: Stage) -> None:
    stored = (await stage.ask(form(CLIP, WORDS, ALICE))).json()
    one = f"{PATH}/{stored['id']}"
    await stage.get(one)
    await stage.get(PATH)
    await stage.get(one, BOB)
    await stage.get(PATH, BOB)
    await stage.request("DELETE", one, headers=BOB)
    await stage.request("DELETE", one)
    await stage.request("DELETE", one)
    await stage.get(one)
    await stage.get(PATH)


@book.exchange()
async def names_file_names_and_bare_samples(stage: Stage) -> None:
    await stage.ask(form(CLIP, {**WORDS, "name": " Anna "}, ALICE, filename="a\\b/voice 1.wav"))
    more = {"sample_rate": "8000", "unknown": "passed over"}
    await stage.ask(form(BARE, {"text": " 你好 ", **more}, ALICE, filename="x.pcm"))


@book.exchange()
async def a_record_of_consent(stage: Stage) -> None:
    given = {"consent_by": "Anna", "consent_date": "2026-01-31", "consent_note": "By letter."}
    stored = (await stage.ask(form(CLIP, {**WORDS, **given}, ALICE))).json()
    await stage.get(f"{PATH}/{stored['id']}")
    await stage.get(PATH)


@book.exchange()
async def lists_in_order_and_cut(stage: Stage) -> None:
    for name in ("Anna", "Berta", "Clara"):
        await stage.upload(name=name)
    for query in ("", "?order=asc", "?order=desc&limit=1", "?limit=1000&unknown=1"):
        await stage.get(PATH + query)
    for query in ("?limit=0", "?limit=1001", "?limit=two", "?limit=", "?order=up"):
        await stage.get(PATH + query)


@book.exchange(max_references_per_token=1)
async def more_references_than_are_allowed(stage: Stage) -> None:
    await stage.upload()
    await stage.ask(form(CLIP, WORDS, ALICE))
    await stage.ask(form(CLIP, WORDS, BOB))


@book.exchange(references_shared=True)
async def references_that_everybody_sees(stage: Stage) -> None:
    reference_id = await stage.upload(name="Anna")
    await stage.get(f"{PATH}/{reference_id}", BOB)
    await stage.get(PATH, BOB)


@book.exchange()
async def fields_that_are_missing_or_wrong(stage: Stage) -> None:
    await stage.ask(form(None, WORDS, ALICE))
    for fields in (
        {},
        {"text": " "},
        {"text": b"\xff"},
        {"text": "t" * (8 * 1024 + 1)},
        {**WORDS, "sample_rate": "7999"},
        {**WORDS, "sample_rate": "fast"},
        {**WORDS, "name": ""},
        {**WORDS, "name": "a/b"},
        {**WORDS, "name": UNKNOWN_ID},
        {**WORDS, "name": "PLAIN"},
        {**WORDS, "consent_by": "Anna"},
        {**WORDS, "consent_by": "Anna", "consent_date": "31.1.2026"},
        {**WORDS, "consent_by": "A" * 129, "consent_date": "2026-01-31"},
    ):
        await stage.ask(form(CLIP, fields, ALICE))


@book.exchange(max_reference_seconds=2, min_reference_seconds=1)
async def files_that_are_no_usable_clip(stage: Stage) -> None:
    for file in (
        b"",
        wav(0.5),
        wav(3),
        SILENT,
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"odd",
        CLIP[:60],
        b"fLaC" + bytes(100),
    ):
        await stage.ask(form(file, WORDS, ALICE))
    await stage.ask(form(CLIP, {"text": "USELESS"}, ALICE))


@book.exchange()
async def bodies_that_are_no_form(stage: Stage) -> None:
    json_type = {**ALICE, "Content-Type": "application/json"}
    await stage.post(PATH, {"file": "x"}, json_type)
    await stage.post(PATH, b"", ALICE)
    await stage.ask(form(CLIP, WORDS, ALICE, content_type="multipart/form-data"))
    await stage.ask(form(CLIP, WORDS, ALICE, content_type="multipart/form-data; boundary=other"))


@book.exchange(max_upload_bytes=4096)
async def a_file_over_the_limit(stage: Stage) -> None:
    await stage.ask(form(bytes(4097), WORDS, ALICE))


@book.exchange(upload_timeout=0.2)
async def an_upload_that_does_not_come(stage: Stage) -> None:
    whole = form(CLIP, WORDS, ALICE)
    cut = replace(whole, body=whole.body[:100], length=len(whole.body), shown="its first 100 bytes")
    await stage.ask(cut)


@book.exchange()
async def requests_without_a_valid_token(stage: Stage) -> None:
    for headers in (NOBODY, {"Authorization": "Bearer wrong"}, {"Authorization": ""}):
        await stage.get(PATH, headers)
    await stage.get(PATH, {"Authorization": "alice-secret"})
    await stage.ask(form(CLIP, WORDS, NOBODY))


@book.exchange()
async def other_methods_and_addresses(stage: Stage) -> None:
    await stage.request("PUT", PATH)
    await stage.request("PATCH", f"{PATH}/{UNKNOWN_ID}")
    for reference_id in (UNKNOWN_ID, UNKNOWN_ID.upper(), "..%2F..%2Fetc%2Fpasswd", "%00"):
        await stage.get(f"{PATH}/{reference_id}")
    await stage.get(f"{PATH}/{UNKNOWN_ID}/more")
    await stage.get(f"{PATH}/")
    await stage.request("DELETE", f"{PATH}/{UNKNOWN_ID}")


@book.exchange()
async def an_engine_that_does_not_take_the_voice(stage: Stage) -> None:
    for words in ("NOT-READY", "DIED", "BROKEN"):
        await stage.ask(form(CLIP, {"text": words}, ALICE))


@book.exchange(drain_grace=30)
async def a_server_that_shuts_down(stage: Stage) -> None:
    stage.server.services.admission.drain()
    await stage.ask(form(CLIP, WORDS, ALICE))
    await stage.get(PATH)
