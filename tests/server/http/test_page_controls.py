"""The home page besides its views, in a browser: tabs, statistics, the API key, the choice of model, and accessibility.

``make test-browser`` runs these tests.
"""

from __future__ import annotations

import itertools
import re

import pytest

from pellucid import Embedder
from tests import browser as browsers
from tests import tiny
from tests.browser import EVIL
from tests.server.http.browsing import submit, wait_for_poll, wait_for_stats_request

pytestmark = browsers.needed()


def test_tabs_work_by_keyboard_and_the_address_keeps_the_tab(visit, stub):
    page = visit(fragment="#two")
    selected = page.locator("[role=tab][aria-selected=true]")
    assert (selected.inner_text(), page.locator("[role=tabpanel]:visible").count()) == ("Two texts", 1)
    assert page.get_by_role("tabpanel", name="Two texts").is_visible()
    submit(page, "two", "the cat", "a dog")
    addresses = {"one": "#one", "two": "#two&model=tiny&text=the+cat&text=a+dog", "many": "#many"}
    page.locator("#tab-two").focus()
    keys = [("ArrowRight", "many"), ("ArrowRight", "one"), ("ArrowLeft", "many"), ("Home", "one"), ("End", "many")]
    for key, mode in keys:
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.id") == selected.get_attribute("id") == f"tab-{mode}"
        assert page.url == stub.url + addresses[mode]
        assert page.locator("[role=tabpanel]:visible").get_attribute("id") == f"panel-{mode}"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA", "all tabs together are one stop"
    page.evaluate("location.hash = 'two'")
    page.locator("#panel-two").wait_for()
    assert page.locator("#panel-two textarea").first.input_value() == "the cat"
    assert page.locator("#panel-two .headline").is_visible(), "the view is kept"
    page.evaluate("location.hash = 'elsewhere'")
    assert selected.inner_text() == "Two texts"


def test_the_statistics_are_those_of_the_server(visit, stub):
    page = visit()
    page.locator("#stats b").first.wait_for()

    def shown_stats():
        names = page.locator("#stats dt").all_inner_texts()
        return dict(zip(names, page.locator("#stats dd").all_inner_texts(), strict=True))

    shown = {name: " ".join(value.split()) for name, value in shown_stats().items()}
    assert shown == {
        "Requests": "1,234 5,678 texts, 90,123 tokens",
        "Tokens per second": "456 in the last ten seconds",
        "Waiting": "3 77 tokens",
        "Latency": "4.3 ms p95 13, p99 120",
    }
    assert "tiny · 384 dimensions, up to 256 tokens" in page.locator("#model-facts").inner_text()
    assert "Pellucid 9.9 and has been up for 2 hours" in page.locator("footer").inner_text()
    stub.model_stats["tiny"] |= {"requests": 0, "loaded": False, "latency_ms": None, "tokens_per_second": 0.0}
    wait_for_poll(page, stub)
    page.locator("#stats dd", has_text="the first request loads the model").wait_for()
    assert "no request yet" in shown_stats()["Latency"]
    for rate in (100.0, 0.0, 50.0):
        stub.model_stats["tiny"]["tokens_per_second"] = rate
        wait_for_poll(page, stub)
    page.locator("#stats b", has_text="50").wait_for()
    points = [float(y) for y in re.findall(r"[ML][-\d.]+ ([\d.]+)", page.locator(".spark path").get_attribute("d"))]
    assert points[-3] < points[-1] < points[-2], "larger values are higher"


def test_a_hidden_page_sends_no_requests(visit, stub):
    hidden = "Object.defineProperty(document, 'hidden', {get: () => window.isHidden === true})"
    page = visit(script=hidden)
    page.locator("#stats b").first.wait_for()
    wait_for_poll(page, stub)
    page.evaluate("window.isHidden = true; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(50)
    count = stub.stats_requests
    page.clock.run_for(20_000)
    page.wait_for_timeout(100)
    assert stub.stats_requests == count
    page.evaluate("window.isHidden = false; document.dispatchEvent(new Event('visibilitychange'))")
    wait_for_stats_request(page, stub, count)
    assert stub.stats_requests == count + 1, "the page requests them at once when it is visible again"


def test_an_idle_page_asks_more_and_more_rarely(visit, stub):
    page = visit()
    page.locator("#stats b").first.wait_for()
    for _ in range(15):
        wait_for_poll(page, stub)
    count = stub.stats_requests
    page.clock.run_for(14_000)
    page.wait_for_timeout(100)
    assert stub.stats_requests == count, "nothing has changed for half a minute"
    wait_for_poll(page, stub)
    submit(page, "one", "the cat")
    wait_for_poll(page, stub)
    wait_for_poll(page, stub)


def test_the_page_says_when_the_server_is_offline_and_recovers(visit, stub):
    page = visit(allow_errors=True)
    page.locator("#stats b").first.wait_for()
    stub.stop()
    page.clock.run_for(2100)
    page.locator("#offline", has_text="The server does not answer.").wait_for()
    panel = submit(page, "one", "the cat")
    assert panel.locator(".error").inner_text() == "The server does not answer."
    assert panel.locator("textarea").input_value() == "the cat"
    stub.start()
    stub.model_stats["tiny"]["requests"] = 4321
    wait_for_poll(page, stub)
    page.locator("#stats b", has_text="4,321").wait_for()
    assert page.locator("#offline").inner_text() == ""
    panel.locator(".submit").click()
    panel.locator(".headline", has_text="the cat").wait_for()


@pytest.mark.parametrize("guarded", ["views and /stats", "only views"])
def test_the_page_asks_for_a_key_and_keeps_it_only_in_memory(visit, stub, guarded):
    stub.key = "sk-one"
    if guarded == "only views":
        stats = stub.stats
        stub.stats = lambda _: stats(f"Bearer {stub.key}")
    page = visit(allow_errors=True)
    form, field = page.locator("#key"), page.get_by_label("This server needs an API key")
    form.wait_for()
    assert field.get_attribute("type") == "password"
    panel = submit(page, "one", "the cat")
    assert "needs an API key" in panel.locator(".error").inner_text()
    assert page.evaluate("document.activeElement.id") == "key-field"
    for wrong, message in (("sk-ö", "only ASCII letters"), ("sk-two", "does not accept this key")):
        field.fill(wrong)
        form.get_by_role("button").click()
        form.locator(".error", has_text=message).wait_for()
    field.fill("sk-one")
    page.keyboard.press("Enter")
    panel.locator(".headline", has_text="the cat").wait_for()
    assert form.is_hidden()
    assert page.locator("#stats b").first.inner_text() == "1,234"
    stored = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href, history.state])"
    assert "sk-one" not in page.evaluate(stored) + page.content()
    assert field.input_value() == ""
    wait_for_poll(page, stub)
    assert form.is_hidden()
    stub.key = "sk-new"
    panel.locator(".submit").click()
    form.locator(".error", has_text="does not accept").wait_for()


def test_models_that_give_vectors_come_first_and_others_say_what_they_are_for(visit, stub):
    vectors = stub.model_stats.pop("tiny")
    others = {
        "scores": vectors | {"kind": "reranker", "dimensions": None, "max_tokens": 512},
        "labels": vectors | {"kind": "classifier", "dimensions": None, "max_tokens": 512},
        "words": vectors | {"kind": "sparse_embedder", "dimensions": 30522, "max_tokens": 512},
        "later": vectors | {"loaded": False, "dimensions": None, "max_tokens": None},
        "far": vectors | {"loaded": False, "kind": None, "dimensions": None, "max_tokens": None},
    }
    stub.model_stats |= others | {"tiny": vectors}
    page = visit()
    picker, facts = page.get_by_label("Model", exact=True), page.locator("#model-facts")
    picker.wait_for()
    picker.select_option("tiny")
    assert picker.locator("option").all_inner_texts() == ["later", "far", "tiny", "scores", "labels", "words"]
    assert facts.inner_text() == "384 dimensions, up to 256 tokens"
    pairs = "enter a query and a document under “Two texts”"
    for name, said in {
        "scores": f"a reranker, up to 512 tokens: {pairs}",
        "labels": "a classifier, up to 512 tokens; the views below need a model that gives vectors or scores",
        "words": f"a sparse embedder, 30,522 dimensions, up to 512 tokens: {pairs}",
        "later": "embedder, not loaded now",
        "far": "kind unknown, not loaded now",
    }.items():
        picker.select_option(name)
        assert facts.inner_text() == said


def test_the_user_can_choose_among_several_models(visit, stub, page_embedder, tmp_path):
    page = visit()
    page.locator("#stats b").first.wait_for()
    picker = page.get_by_label("Model", exact=True)
    assert picker.is_hidden()
    other = Embedder(tiny.write_model(tmp_path / "n", seed=1), on_truncation="ignore")
    stub.models[EVIL] = other
    stub.model_stats[EVIL] = stub.model_stats["tiny"] | {"requests": 7, "dimensions": 99}
    wait_for_poll(page, stub)
    picker.wait_for()
    submit(page, "one", "the cat")
    picker.select_option(EVIL)
    assert page.locator("#stats b").first.inner_text() == "7"
    assert "99 dimensions" in page.locator("#model-facts").inner_text()
    wait_for_poll(page, stub)
    assert picker.input_value() == EVIL, "new statistics do not change the choice"
    panel = submit(page, "one", "the cat")
    assert [body.get("model") for _, body in stub.requests] == ["tiny", EVIL]
    panel.locator("#vector summary").click()
    panel.locator("#vector .all-numbers").wait_for()
    first = float(panel.locator("#vector .all-numbers").inner_text().split(", ")[0])
    assert first == pytest.approx(other.embed_query("the cat")[0], abs=3e-6)


def test_the_keyboard_reaches_everything_and_focus_is_visible(visit, stub):
    page = visit()
    stub.model_stats["other"] = stub.model_stats["tiny"]
    wait_for_poll(page, stub)
    page.locator("#model").wait_for()
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        name, visible = page.evaluate("""() => {
            const active = document.activeElement;
            return [active.id || active.className || active.tagName, getComputedStyle(active).outlineStyle !== 'none'];
        }""")
        if name == "BODY":
            break
        reached.append(name)
        assert visible, name
    assert reached == [
        "skip",
        "theme",
        "tab-one",
        "model",
        "panel-one-text-1",
        "submit",
        "small",
        "example",
        "example",
        "example",
    ]
    labelled = "[...document.querySelectorAll('textarea, select, input')].every((one) => one.labels.length === 1)"
    assert page.evaluate(labelled)
    levels = [int(tag[1]) for tag in page.locator(":is(h1, h2, h3)").evaluate_all("all => all.map(h => h.tagName)")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    submit(page, "one", "the cat")
    levels = [int(tag[1]) for tag in page.locator(":is(h1, h2, h3)").evaluate_all("all => all.map(h => h.tagName)")]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


CONTRASTS = """() => {
    const channels = (color) => color.match(/[\\d.]+/g).map(Number);
    const luminance = (color) => channels(color).slice(0, 3).map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const background = (element) => {
        const color = getComputedStyle(element).backgroundColor;
        return channels(color)[3] === 0 && element.parentElement ? background(element.parentElement) : color;
    };
    const hasText = (element) =>
        element.checkVisibility() && [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    return [...document.querySelectorAll('body *')].filter(hasText).map((element) => {
        const style = getComputedStyle(element);
        const [low, high] = [style.color, background(element)].map(luminance).sort((a, b) => a - b);
        return [element.className || element.id || element.tagName, (high + 0.05) / (low + 0.05)];
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_meets_wcag_aa(visit, stub, scheme):
    stub.key = "sk"
    stats = stub.stats
    stub.stats = lambda _: stats("Bearer sk")
    page = visit(scheme=scheme, allow_errors=True)
    page.locator("#key").wait_for()
    submit(page, "one", "the cat")
    stub.stop()
    page.clock.run_for(2100)
    page.locator("#offline", has_text="does not answer").wait_for()
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 20
    assert [(name, ratio) for name, ratio in contrasts if ratio < 4.5] == []
