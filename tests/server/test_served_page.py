"""The home page of the real server in a browser. ``make test-browser`` runs these tests."""

from __future__ import annotations

import pytest

from tests import browser as browsers
from tests.browser import PHONE, WIDE, fits

pytestmark = browsers.needed()
TEXTS = {"one": ["the cat sat"], "two": ["the cat", "a dog"], "many": ["the cat\na dog\nthe mat"]}


@pytest.fixture(scope="module")
def browser():
    with browsers.launched() as browser:
        yield browser


@pytest.mark.parametrize("viewport", [WIDE, PHONE])
@pytest.mark.parametrize("keys", [(), ("a-key-of-mine",)])
def test_each_view_is_drawn_and_the_page_contacts_only_its_server(browser, serve, viewport, keys):
    own = serve(keys=keys)
    context = browser.new_context(viewport=viewport, reduced_motion="reduce")
    other_urls, errors = [], []
    context.on("request", lambda request: request.url.startswith(own.url) or other_urls.append(request.url))
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(own.url)
    if keys:
        page.fill("#key-field", keys[0])
        page.click("#key button")
    page.wait_for_selector("#stats dt")
    for mode, texts in TEXTS.items():
        page.click(f"#tab-{mode}")
        for number, text in enumerate(texts, start=1):
            page.fill(f"#panel-{mode}-text-{number}", text)
        page.click(f"#panel-{mode} .submit")
        page.wait_for_selector(f"#panel-{mode} .result > *", timeout=20_000)
        assert "Done in" in page.inner_text(f"#panel-{mode} .state")
        assert fits(page)
    assert (other_urls, errors) == ([], [])
    context.close()


@pytest.mark.parametrize("name", ["reranker", "splade", "colbert"])
def test_a_query_and_a_document_have_a_score(
    browser, serve, model, reranker_model, sparse_model, multi_vector_model, name
):
    own = serve(model, reranker_model, sparse_model, multi_vector_model)
    page = browser.new_page(viewport=PHONE)
    page.goto(own.url)
    page.get_by_label("Model", exact=True).select_option(name)
    assert "enter a query and a document" in page.inner_text("#model-facts")
    page.click("#tab-two")
    for number, text in enumerate(("the cat", "a dog sat. The cat sat."), start=1):
        page.fill(f"#panel-two-text-{number}", text)
    page.click("#panel-two .submit")
    page.wait_for_selector("#panel-two .result h2:has-text('score')", timeout=20_000)
    assert fits(page)
    page.click("#tab-one")
    page.fill("#panel-one-text-1", "the cat")
    page.click("#panel-one .submit")
    page.wait_for_selector("#panel-one .error:has-text(\"Models here that can: 'tiny'\")")
    page.close()
