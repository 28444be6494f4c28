"""The elevenlabs SDK's pronunciation dictionaries: BASE_URL TOKEN FOLDER OPTIONS."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from elevenlabs import (
    BodyAddAPronunciationDictionaryV1PronunciationDictionariesAddFromRulesPostRulesItem_Alias as Alias,
)
from elevenlabs import (
    BodyAddAPronunciationDictionaryV1PronunciationDictionariesAddFromRulesPostRulesItem_Phoneme as Phoneme,
)
from elevenlabs import PronunciationDictionaryVersionLocator
from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.pronunciation_dictionaries.rules import (
    PronunciationDictionaryRule_Alias,
    PronunciationDictionaryRule_Phoneme,
)

Report = dict[str, Any]


def main(base_url: str, token: str, folder: Path, given: Report) -> None:
    client = ElevenLabs(base_url=base_url, api_key=token)
    dictionaries = client.pronunciation_dictionaries

    def keep(name: str, text: str, *used: tuple[str, str | None]) -> None:
        locators = [
            PronunciationDictionaryVersionLocator(pronunciation_dictionary_id=i, version_id=v)
            for i, v in used
        ]
        chunks = client.text_to_speech.convert(
            given["voice"],
            text=text,
            output_format="pcm_24000",
            pronunciation_dictionary_locators=locators,
        )
        (folder / f"{name}.bin").write_bytes(b"".join(chunks))

    made = dictionaries.create_from_rules(
        name="Names",
        description="of people",
        workspace_access="viewer",
        rules=[
            Alias(string_to_replace="UN", alias="United Nations"),
            Phoneme(string_to_replace="Nguyen", phoneme="ˈwɪn", alphabet="ipa"),
            Phoneme(string_to_replace="SQL", phoneme="S IY1 K W AH0 L", alphabet="cmu-arpabet"),
        ],
    )
    keep("phoneme", "Nguyen is here.", (made.id, made.version_id))
    keep("alias", "The UN is here.", (made.id, None))
    keep("plain", "Nguyen is here.")
    pls = b"".join(dictionaries.download(made.id, made.version_id))
    copied = dictionaries.create_from_file(name="Copy", file=("names.pls", pls))
    added = dictionaries.rules.add(
        made.id,
        rules=[PronunciationDictionaryRule_Alias(string_to_replace="EU", alias="European Union")],
    )
    removed = dictionaries.rules.remove(made.id, rule_strings=["UN", "SQL"])
    keep("removed", "The UN is here.", (made.id, removed.version_id))
    changed = dictionaries.rules.set(
        copied.id,
        rules=[
            PronunciationDictionaryRule_Phoneme(
                string_to_replace="a", phoneme="ɛ", alphabet="ipa", case_sensitive=False
            )
        ],
    )
    got = dictionaries.get(made.id)
    updated = dictionaries.update(copied.id, name="Old", archived=True)
    pages = dictionaries.list(page_size=1), dictionaries.list(page_size=2, include_archived=True)
    report: Report = {
        "made": [made.name, made.version_rules_num, made.created_by],
        "copied": [copied.name, copied.version_rules_num],
        "added": added.version_rules_num,
        "removed": removed.version_rules_num,
        "changed": changed.version_rules_num,
        "got": [[rule.type, rule.string_to_replace] for rule in got.rules],
        "updated": [updated.name, updated.archived_time_unix is not None],
        "pages": [
            [sorted(each.name for each in page.pronunciation_dictionaries), page.has_more]
            for page in pages
        ],
        "pls": pls.decode(),
        "errors": {},
    }
    for name, call in {
        "phoneme": lambda: dictionaries.create_from_rules(
            name="x", rules=[Phoneme(string_to_replace="a", phoneme="ʁ", alphabet="ipa")]
        ),
        "nothing": lambda: dictionaries.get("nothing"),
        "locator": lambda: keep("error", "One.", ("nothing", None)),
    }.items():
        try:
            call()
        except ApiError as error:
            report["errors"][name] = [error.status_code, error.body["detail"]["message"]]
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), json.loads(sys.argv[4]))
