"""The drawings show what the pages beside them print."""

from __future__ import annotations

import re

import pytest
from docs.build import DOCS


@pytest.mark.parametrize(
    ("picture", "pages"),
    [("steps", ["1-tokens", "2-ids", "6-vector"]), ("context", ["4-context"])],
)
def test_every_number_and_token_in_a_drawing_is_on_its_pages(picture, pages):
    drawing = (DOCS / "pictures" / "how" / f"{picture}.svg").read_text(encoding="utf-8")
    text = "".join((DOCS / "how" / f"{page}.md").read_text(encoding="utf-8") for page in pages)
    shown = re.findall(r"<text[^>]*>([^<]+)</text>", drawing)
    values = [value for label in shown for value in re.findall(r"\[\w+\]|[-+]?\d+\.\d+|\d{3,}", label)]
    assert len(values) >= 5
    assert [value for value in values if value not in text] == []
