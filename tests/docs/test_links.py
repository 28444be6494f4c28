"""The pages lead to each other, and what they lead to is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.tools.documents import PAGES, ROOT, anchors, links

MOST_LINES = 150
MOST_WORDS = 1200


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_to_files_and_headings(page: str) -> None:
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(str(target.relative_to(ROOT))), f"{page}: {link}"


def test_every_page_of_the_documentation_is_linked_from_the_readme() -> None:
    linked = {link.partition("#")[0] for link in links("README.md")}
    pages = {page for page in PAGES if page.startswith("docs/")}
    assert pages <= linked


def test_the_readme_is_read_in_two_minutes() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") <= MOST_LINES
    assert len(text.split()) <= MOST_WORDS


def test_the_pages_are_in_the_source_distribution() -> None:
    assert "graft docs" in Path(ROOT, "MANIFEST.in").read_text(encoding="utf-8").splitlines()
