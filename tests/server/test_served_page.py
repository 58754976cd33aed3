"""The page as the real server gives it, in a browser. ``make test-browser`` runs this."""

from __future__ import annotations

import pytest

from tests import browser as browsers
from tests.browser import PHONE, WIDE, fits

pytestmark = browsers.needed()
ASKED = {"one": ["the cat sat"], "two": ["the cat", "a dog"], "many": ["the cat\na dog\nthe mat"]}


@pytest.fixture(scope="module")
def browser():
    with browsers.launched() as browser:
        yield browser


@pytest.mark.parametrize("viewport", [WIDE, PHONE])
@pytest.mark.parametrize("keys", [(), ("a-key-of-mine",)])
def test_each_view_is_drawn_and_only_its_server_is_asked(browser, serve, viewport, keys):
    own = serve(keys=keys)
    context = browser.new_context(viewport=viewport, reduced_motion="reduce")
    others, complaints = [], []
    context.on("request", lambda request: request.url.startswith(own.url) or others.append(request.url))
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(own.url)
    if keys:
        page.fill("#key-field", keys[0])
        page.click("#key button")
    page.wait_for_selector("#figures dt")
    for mode, texts in ASKED.items():
        page.click(f"#tab-{mode}")
        for number, text in enumerate(texts, start=1):
            page.fill(f"#panel-{mode}-text-{number}", text)
        page.click(f"#panel-{mode} .go")
        page.wait_for_selector(f"#panel-{mode} .result > *", timeout=20_000)
        assert "Done in" in page.inner_text(f"#panel-{mode} .state")
        assert fits(page)
    assert (others, complaints) == ([], [])
    context.close()
