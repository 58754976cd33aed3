"""Fixtures for the tests of pages in a browser."""

from __future__ import annotations

import pytest

from pellucid import Embedder
from tests import browser as browsers
from tests import tiny
from tests.browser import WIDE


@pytest.fixture(scope="module")
def browser():
    with browsers.launched() as browser:
        yield browser


@pytest.fixture
def show(browser, tmp_path):
    """Opens pages. At the end, checks that they requested nothing and logged nothing."""
    seen: list[str] = []
    contexts = []

    def open_page(content: str, *, viewport=WIDE, scheme="light", touch=False):
        path = tmp_path / f"{len(contexts)}.html"
        path.write_text(content, encoding="utf-8")
        context = browser.new_context(viewport=viewport, color_scheme=scheme, has_touch=touch, reduced_motion="reduce")
        contexts.append(context)
        context.on(
            "request", lambda request: request.url == path.as_uri() or seen.append(f"request {request.url[:80]}")
        )
        opened = context.new_page()
        opened.on("console", lambda message: seen.append(f"console {message.text}"))
        opened.on("pageerror", lambda error: seen.append(f"error {error}"))
        opened.on("dialog", lambda dialog: (seen.append(f"dialog {dialog.message}"), dialog.dismiss()))
        opened.goto(path.as_uri())
        opened.wait_for_selector("main[data-ready]", state="attached", timeout=20_000)
        opened.seen = seen
        return opened

    yield open_page
    for context in contexts:
        context.close()
    assert seen == []


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return Embedder(tiny.write_model(tmp_path_factory.mktemp("models") / "m"), on_truncation="ignore")
