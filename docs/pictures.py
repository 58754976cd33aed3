"""Makes the pictures of the pages in ``docs/pictures/``: ``python -m docs.pictures``.

It needs Playwright and Chromium, as ``make test-browser`` does, and the model all-MiniLM-L6-v2. Fonts differ between
machines, so no test compares the pictures. Make them again when a page has changed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tests.browser import launched
from tests.explain.test_text_map import TOPICS

from pellucid import Embedder
from pellucid.explain.render.html import page
from pellucid.explain.text_map import text_map

PICTURES = Path(__file__).parent / "pictures"
WIDTH = 760
HEIGHTS = {"explain": 1290, "map": 980}
TEXTS = (*TOPICS[:4], *TOPICS[8:])


def main() -> None:
    """Make every picture, light and dark."""
    embedder = Embedder("all-MiniLM-L6-v2")
    subjects: dict[str, Any] = {
        "explain": embedder.compare("How do I reset my password?", "I forgot my login credentials"),
        "map": text_map(embedder.encoder, TEXTS),
    }
    with launched() as browser, tempfile.TemporaryDirectory() as folder:
        for name, subject in subjects.items():
            path = Path(folder) / f"{name}.html"
            path.write_text(page(subject), encoding="utf-8")
            for scheme, suffix in (("light", ""), ("dark", "-dark")):
                context = browser.new_context(
                    viewport={"width": WIDTH, "height": HEIGHTS[name]}, color_scheme=scheme, device_scale_factor=2
                )
                opened = context.new_page()
                opened.goto(path.as_uri())
                opened.wait_for_selector("main[data-ready]", state="attached")
                opened.screenshot(path=PICTURES / f"{name}{suffix}.png")
                context.close()


if __name__ == "__main__":
    main()
