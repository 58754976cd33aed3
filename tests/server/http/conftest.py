"""Fixtures for the tests of the home page in a browser."""

from __future__ import annotations

import pytest

from pellucid import Embedder
from tests import browser as browsers
from tests import tiny
from tests.browser import WIDE
from tests.server.stub import serving


@pytest.fixture(scope="module")
def browser():
    with browsers.launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def page_embedder(tmp_path_factory):
    return Embedder(tiny.write_model(tmp_path_factory.mktemp("models") / "m"), on_truncation="ignore")


@pytest.fixture
def stub(page_embedder):
    with serving({"tiny": page_embedder}) as running:
        yield running


@pytest.fixture
def visit(browser, stub):
    """Opens the page. At the end, checks that the page contacted no other server and reported no error.

    Chromium itself writes a line to the console for each error response. Tests that expect such responses say so with
    ``allow_errors``.
    """
    problems: list[str] = []
    contexts = []

    def open_page(*, viewport=WIDE, scheme="light", fragment="", allow_errors=False, script=""):
        context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        context.on(
            "request",
            lambda request: request.url.startswith(stub.url) or problems.append(f"request {request.url[:80]}"),
        )
        page = context.new_page()
        if script:
            page.add_init_script(script)
        page.on(
            "console",
            lambda message: (
                (allow_errors and message.text.startswith("Failed to load resource"))
                or problems.append(f"console {message.text}")
            ),
        )
        page.on("pageerror", lambda error: problems.append(f"error {error}"))
        page.on("dialog", lambda dialog: (problems.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.clock.install()
        page.goto(stub.url + fragment)
        page.wait_for_selector("main[data-ready]", state="attached", timeout=20_000)
        page.problems = problems
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []
