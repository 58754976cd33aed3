"""Links to what the home page shows, in a browser. ``make test-browser`` runs these tests."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from tests import browser as browsers
from tests.browser import EVIL, PHONE, fits
from tests.server.http.browsing import submit

pytestmark = browsers.needed()

TEXTS = {
    "one": [f"{EVIL} & = # % + ö \U0001f600\n\u732b"],
    "two": ["the cat", " a dog + mat\n"],
    "many": ["the cat\na dog\n\nthe mat"],
}


def fragment(page):
    return page.evaluate("location.hash")


@pytest.mark.parametrize("mode", ["one", "two", "many"])
def test_a_link_shows_the_same_again(visit, stub, mode):
    page = visit()
    page.locator("#stats b").first.wait_for()  # Before that, the page does not know the model that a link names.
    shown = submit(page, mode, *TEXTS[mode]).locator(".result").inner_text()
    link = fragment(page)
    again = visit(fragment=link)
    panel = again.locator(f"#panel-{mode}")
    panel.locator(".result > section").last.wait_for()
    assert panel.is_visible()
    assert [area.input_value() for area in panel.locator("textarea").all()] == TEXTS[mode]
    assert panel.locator(".result").inner_text() == shown
    assert stub.requests[0] == stub.requests[1]
    assert fragment(again) == link


def test_the_address_follows_the_user_and_never_reaches_the_server(visit, stub):
    page = visit()
    requested = []
    page.on("request", lambda request: requested.append(request.url))
    page.locator("#stats b").first.wait_for()
    area = page.locator("#panel-one textarea")
    area.press_sequentially("the cat")
    page.clock.run_for(400)
    assert parse_qs(fragment(page)) == {"model": ["tiny"], "text": ["the cat"]}
    area.fill("")
    page.clock.run_for(400)
    assert fragment(page) == "#one"
    page.locator("#panel-one .example").first.click()
    page.locator("#panel-one .result > section").last.wait_for()
    assert "Retrieval+augmented" in fragment(page)
    assert page.evaluate("history.length") == visit().evaluate("history.length"), "Back leaves the page"
    assert not any("Retrieval" in url.partition("#")[0] or "cat" in url.partition("#")[0] for url in requested)


def test_a_link_in_an_open_page_replaces_what_it_shows(visit, stub):
    page = visit()
    submit(page, "one", "the dog")
    page.evaluate("location.hash = '#two&text=the+cat&text=a+mat'")
    page.locator("#panel-two .result > section").last.wait_for()
    assert stub.requests[-1] == ("/view/compare", {"inputs": ["the cat", "a mat"]})
    page.evaluate("location.hash = '#nonsense&text=x'")
    assert page.locator("#panel-two").is_visible()
    assert len(stub.requests) == 2


def test_a_link_chooses_its_model(visit, stub, page_embedder):
    stub.models["other"] = page_embedder
    stub.model_stats["other"] = stub.model_stats["tiny"] | {"dimensions": 99}
    page = visit(fragment="#one&model=other&text=the+cat")
    page.locator("#panel-one .result > section").last.wait_for()
    assert stub.requests == [("/view/trace", {"model": "other", "input": "the cat"})]
    assert page.locator("#model").input_value() == "other"
    assert "99 dimensions" in page.locator("#model-facts").inner_text()
    page = visit(fragment=f"#one&model={'m' * 300}&text=the+cat", viewport=PHONE)
    page.locator("#panel-one .error", has_text="which this server does not have").wait_for()
    assert page.locator("#panel-one textarea").input_value() == "the cat"
    assert len(stub.requests) == 1
    assert fits(page)


def test_a_link_waits_for_the_key(visit, stub):
    stub.key = "sk"
    page = visit(fragment="#one&text=the+cat", allow_errors=True)
    page.locator("#key").wait_for()
    assert stub.requests == []
    page.get_by_label("This server needs an API key").fill("sk")
    page.keyboard.press("Enter")
    page.locator("#panel-one .result > section").last.wait_for()
    assert len(stub.requests) == 1


def test_the_button_copies_the_link_or_says_why_not(visit, stub):
    page = visit()
    submit(page, "one", "the cat")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel = page.locator("#panel-one")
    copy = panel.get_by_role("button", name="Copy link")
    copy.click()
    panel.locator(".state", has_text="The link is copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    panel.locator("textarea").fill("long text " * 2000)
    copy.click()
    panel.locator(".state", has_text="too long for a link, which holds at most 16,000 characters").wait_for()
    assert fragment(page) == "#one", "the texts are left out, and the tab is kept"
    page = visit(script="Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    panel = page.locator("#panel-one")
    panel.locator("textarea").fill("the dog")
    panel.get_by_role("button", name="Copy link").click()
    panel.locator(".state", has_text="Copy it from the address bar").wait_for()
    assert parse_qs(fragment(page))["text"] == ["the dog"]
