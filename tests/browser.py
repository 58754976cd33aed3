"""Helpers for tests of pages in a browser: Debian's chromium, driven by Playwright.

``make test-browser`` installs Playwright and runs these tests.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = os.environ.get("PELLUCID_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
EVIL = "</script x=''><!--<script ><script>alert(1)</script><img src=x onerror=alert(1)></script><b>cat</b> {{script}}"
PIXELS = """canvas => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
    copy.drawImage(canvas, 0, 0);
    return [...copy.getImageData(0, 0, canvas.width, canvas.height).data];
}"""


def needed() -> pytest.MarkDecorator:
    """A mark for test files that need a browser. Without one, their tests are skipped.

    With ``PELLUCID_BROWSER=required``, they fail instead.
    """
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        missing = "Playwright (make test-browser)"
    else:
        missing = "" if CHROMIUM else "chromium (Debian: apt install chromium), or its path in PELLUCID_CHROMIUM"
    if missing and os.environ.get("PELLUCID_BROWSER") == "required":
        pytest.fail(f"needs {missing}")
    return pytest.mark.skipif(bool(missing), reason=f"needs {missing}")


@contextmanager
def launched() -> Iterator[Any]:
    """A running browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # Chromium's sandbox does not work for root, and the tests may run as root.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def number(text: str) -> float:
    """The number at the end of a text."""
    return float(re.search(r"[-+]?[\d.]+$", text)[0])


def hover_cell(map_, row: int, column: int, shape: tuple[int, int]) -> None:
    """Move the pointer to a cell of a map. ``shape`` is the map's number of rows and columns."""
    cells = map_.locator(".cells")
    box = cells.bounding_box()
    x, y = (column + 0.5) * box["width"] / shape[1], (row + 0.5) * box["height"] / shape[0]
    cells.hover(position={"x": x, "y": y})


def fits(page) -> bool:
    """True if the page is not wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")
