"""The page of the server in a browser. ``make test-browser`` runs this."""

from __future__ import annotations

import itertools
import re
import threading

import numpy as np
import pytest

from pellucid import Embedder
from tests import browser as browsers
from tests import tiny
from tests.browser import EVIL, PHONE, PIXELS, WIDE, fits, hover_cell, number
from tests.server.stub import serving

pytestmark = browsers.needed()


@pytest.fixture(scope="module")
def browser():
    with browsers.launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return Embedder(tiny.write_model(tmp_path_factory.mktemp("models") / "m"), on_truncation="ignore")


@pytest.fixture
def stub(embedder):
    with serving({"tiny": embedder}) as running:
        yield running


@pytest.fixture
def visit(browser, stub):
    """Opens the page, and holds at the end that it asked nobody else and complained of nothing.

    Chromium itself notes in the console each answer that is no success; tests that want such answers say so.
    """
    seen: list[str] = []
    contexts = []

    def open_page(*, viewport=WIDE, scheme="light", fragment="", refusals=False, before=""):
        context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        context.on(
            "request", lambda request: request.url.startswith(stub.url) or seen.append(f"request {request.url[:80]}")
        )
        opened = context.new_page()
        if before:
            opened.add_init_script(before)
        opened.on(
            "console",
            lambda message: (
                (refusals and message.text.startswith("Failed to load resource"))
                or seen.append(f"console {message.text}")
            ),
        )
        opened.on("pageerror", lambda error: seen.append(f"error {error}"))
        opened.on("dialog", lambda dialog: (seen.append(f"dialog {dialog.message}"), dialog.dismiss()))
        opened.clock.install()
        opened.goto(stub.url + fragment)
        opened.wait_for_selector("main[data-ready]", state="attached", timeout=20_000)
        opened.seen = seen
        return opened

    yield open_page
    for context in contexts:
        context.close()
    assert seen == []


MODES = ("one", "two", "many")


def ask(opened, mode, *texts):
    """Types the texts, and waits for their view or for an error."""
    opened.locator(f"#tab-{mode}").click()
    panel = opened.locator(f"#panel-{mode}")
    for area, text in zip(panel.locator("textarea").all(), texts, strict=True):
        area.fill(text)
    opened.keyboard.press("Control+Enter")
    panel.locator(".result > section, .error:not(:empty)").last.wait_for()
    panel.locator(".result[aria-busy=false]").wait_for(state="attached")
    return panel


def polled(opened, stub):
    """Lets two seconds pass for the page, and waits until it has asked for the figures once more."""
    asked = stub.stats_asked
    opened.clock.run_for(2100)
    until_asked(opened, stub, asked)


def until_asked(opened, stub, asked):
    """Waits until the page has asked for the figures more than so often."""
    for _ in range(3000):
        if stub.stats_asked > asked:
            return
        opened.wait_for_timeout(20)
    pytest.fail("the page did not ask")


def test_nothing_is_computed_unasked(visit, stub):
    opened = visit()
    opened.locator("#figures b").first.wait_for()
    assert stub.asked == []
    assert opened.locator(".result *").count() == 0


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (PHONE, "dark")])
def test_one_text_is_walked_through(visit, stub, embedder, viewport, scheme):
    opened = visit(viewport=viewport, scheme=scheme)
    panel = ask(opened, "one", "the cat sat")
    trace = embedder.trace("the cat sat")
    assert stub.asked == [("/view/trace", {"input": "the cat sat"})]
    titles = ["Text", "Tokens", "Ids", "Token vectors", "Context", "Pooling", "Vector"]
    assert panel.locator("section h2").all_inner_texts() == titles
    assert panel.locator(".headline").inner_text() == "the cat sat"
    assert panel.locator("#tokens .chip[role=option]").all_inner_texts() == [token.piece for token in trace.tokens]
    panel.locator("#vector summary").click()
    numbers = [float(part) for part in panel.locator("#vector .all").inner_text().split(", ")]
    np.testing.assert_allclose(numbers, trace.vector, rtol=0, atol=0.51e-6)
    hover_cell(panel.locator("#context .map"), 2, 3, (5, 5))
    mean = trace.layers[-1].arrays["attention"].mean(axis=0)
    assert number(panel.locator("#context .map .readout").inner_text()) == pytest.approx(mean[2, 3], abs=0.51e-4)
    assert re.fullmatch(r"Done in [\d.,]+ ms", panel.locator(".state").inner_text())
    assert fits(opened)


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "dark"), (PHONE, "light")])
def test_two_texts_are_compared(visit, stub, embedder, viewport, scheme):
    opened = visit(viewport=viewport, scheme=scheme)
    panel = ask(opened, "two", "the cat sat", "a dog on the mat")
    comparison = embedder.compare("the cat sat", "a dog on the mat")
    assert stub.asked == [("/view/compare", {"inputs": ["the cat sat", "a dog on the mat"]})]
    assert panel.locator(".headline").inner_text() == f"cosine {comparison.cosine:.4f}"
    hover_cell(panel.locator("#pairs"), 2, 1, comparison.pairs.shape)
    assert number(panel.locator("#pairs .readout").inner_text()) == pytest.approx(comparison.pairs[2, 1], abs=0.51e-3)
    assert fits(opened)


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (PHONE, "dark")])
def test_ten_lines_become_a_map(visit, stub, embedder, viewport, scheme):
    opened = visit(viewport=viewport, scheme=scheme)
    words = ["cat", "dog", "mat", "sat", "the"]
    lines = [f"{one} {other}" for one in words[:2] for other in words]
    panel = ask(opened, "many", "\n  \n".join(lines) + " \n")
    assert stub.asked == [("/view/map", {"inputs": lines})], "lines with nothing on them are none"
    assert panel.locator(".count").inner_text() == "10 texts"
    shown = panel.locator(".texts .words").all_inner_texts()
    assert sorted(shown) == sorted(lines)
    assert panel.locator(".plane path").count() == 10
    vectors = embedder.embed_documents(shown)
    panel.locator("#alike .box").focus()
    opened.keyboard.press("Control+Home")
    opened.keyboard.press("ArrowRight")
    assert number(panel.locator("#alike .readout").inner_text()) == pytest.approx(vectors[0] @ vectors[1], abs=0.6e-3)
    panel.locator("#alike summary").click()
    panel.locator("#alike tbody td").first.wait_for()
    table = np.array(panel.locator("#alike tbody td").all_inner_texts(), float).reshape(10, 10)
    np.testing.assert_allclose(table, vectors @ vectors.T, rtol=0, atol=0.56e-2)
    assert fits(opened)


@pytest.mark.parametrize("mode", MODES)
def test_an_example_is_a_click_away(visit, stub, mode):
    opened = visit(fragment=f"#{mode}")
    panel = opened.locator(f"#panel-{mode}")
    for example in panel.locator(".try").all():
        example.click()
        panel.locator(".result[aria-busy=false] > section").first.wait_for()
    assert len(stub.asked) == panel.locator(".try").count() >= 2
    assert panel.locator("textarea").first.input_value() != ""


def test_tabs_by_keyboard_and_the_address_that_remembers_them_and_no_text(visit, stub):
    opened = visit(fragment="#two")
    selected = opened.locator("[role=tab][aria-selected=true]")
    assert (selected.inner_text(), opened.locator("[role=tabpanel]:visible").count()) == ("Two texts", 1)
    assert opened.get_by_role("tabpanel", name="Two texts").is_visible()
    ask(opened, "two", "the cat", "a dog")
    opened.locator("#tab-two").focus()
    keys = [("ArrowRight", "many"), ("ArrowRight", "one"), ("ArrowLeft", "many"), ("Home", "one"), ("End", "many")]
    for key, mode in keys:
        opened.keyboard.press(key)
        assert opened.evaluate("document.activeElement.id") == selected.get_attribute("id") == f"tab-{mode}"
        assert opened.url == f"{stub.url}#{mode}"
        assert opened.locator("[role=tabpanel]:visible").get_attribute("id") == f"panel-{mode}"
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.tagName") == "TEXTAREA", "the tabs are one stop"
    opened.evaluate("location.hash = 'two'")
    opened.locator("#panel-two").wait_for()
    assert opened.locator("#panel-two textarea").first.input_value() == "the cat"
    assert opened.locator("#panel-two .headline").is_visible(), "what was drawn is kept"
    opened.evaluate("location.hash = 'elsewhere'")
    assert selected.inner_text() == "Two texts"


def test_an_error_is_told_beside_what_was_typed_which_stays(visit, stub):
    opened = visit(refusals=True)
    ask(opened, "many", "the cat\na dog")
    panel = ask(opened, "many", "only one line")
    assert "at least 2 texts" in panel.locator(".error").inner_text()
    assert panel.locator(".error").get_attribute("role") == "alert"
    assert panel.locator("textarea").input_value() == "only one line"
    assert panel.locator(".result *").count() == 0, "what was drawn before is of other texts"
    panel = ask(opened, "many", "\n".join(["the cat"] * 201))
    assert "at most 200" in panel.locator(".error").inner_text()
    panel = ask(opened, "many", "the cat\nthe dog")
    assert panel.locator(".error").inner_text() == ""
    stub.view = lambda *_: (503, ["not as agreed"])
    panel = ask(opened, "one", "the cat")
    assert "status 503" in panel.locator(".error").inner_text()
    stub.view = lambda *_: (503, {"error": {"message": EVIL}})
    panel = ask(opened, "one", "the cat")
    panel.locator(".error", has_text=EVIL).wait_for()


def test_a_view_that_cannot_be_drawn_is_said_to_be(visit, stub):
    opened = visit()
    stub.view = lambda *_: (200, {"kind": "trace"})
    panel = ask(opened, "one", "the cat")
    assert "could not be drawn" in panel.locator(".error").inner_text()
    assert opened.seen.pop().startswith("error ")


def test_what_is_overtaken_is_aborted(visit, stub):
    opened = visit()
    free, failed = threading.Event(), []
    opened.on("requestfailed", lambda request: failed.append(request.post_data_json))
    stub.before = lambda _path, body: body["input"] == "the dog" and free.wait(60)
    panel = opened.locator("#panel-one")
    panel.locator("textarea").fill("the dog")
    panel.locator(".go").click()
    panel.locator(".state", has_text="Working…").wait_for()
    assert panel.locator(".result").get_attribute("aria-busy") == "true"
    panel = ask(opened, "one", "the cat")
    assert failed == [{"input": "the dog"}]
    free.set()
    polled(opened, stub)
    assert panel.locator(".headline").inner_text() == "the cat"
    assert panel.locator(".state").inner_text().startswith("Done")


def test_the_figures_are_those_of_the_server(visit, stub):
    opened = visit()
    opened.locator("#figures b").first.wait_for()

    def figures():
        names = opened.locator("#figures dt").all_inner_texts()
        return dict(zip(names, opened.locator("#figures dd").all_inner_texts(), strict=True))

    told = {name: " ".join(value.split()) for name, value in figures().items()}
    assert told == {
        "Requests": "1,234 5,678 texts, 90,123 tokens",
        "Tokens a second": "456 in the last ten seconds",
        "Waiting": "3 77 tokens",
        "Latency": "4.3 ms p95 13, p99 120",
    }
    assert "tiny · 384 numbers, at most 256 tokens" in opened.locator("#model-facts").inner_text()
    assert "Pellucid 9.9, for 2 hours" in opened.locator("footer").inner_text()
    stub.figures["tiny"] |= {"requests": 0, "loaded": False, "latency_ms": None, "tokens_per_second": 0.0}
    polled(opened, stub)
    opened.locator("#figures dd", has_text="the first will load the model").wait_for()
    assert "no request yet" in figures()["Latency"]
    for rate in (100.0, 0.0, 50.0):
        stub.figures["tiny"]["tokens_per_second"] = rate
        polled(opened, stub)
    opened.locator("#figures b", has_text="50").wait_for()
    points = [float(y) for y in re.findall(r"[ML][-\d.]+ ([\d.]+)", opened.locator(".spark path").get_attribute("d"))]
    assert points[-3] < points[-1] < points[-2], "more is higher"


def test_a_page_that_is_not_seen_does_not_ask(visit, stub):
    hidden = "Object.defineProperty(document, 'hidden', {get: () => window.unseen === true})"
    opened = visit(before=hidden)
    opened.locator("#figures b").first.wait_for()
    polled(opened, stub)
    opened.evaluate("window.unseen = true; document.dispatchEvent(new Event('visibilitychange'))")
    opened.wait_for_timeout(50)
    asked = stub.stats_asked
    opened.clock.run_for(20_000)
    opened.wait_for_timeout(100)
    assert stub.stats_asked == asked
    opened.evaluate("window.unseen = false; document.dispatchEvent(new Event('visibilitychange'))")
    until_asked(opened, stub, asked)
    assert stub.stats_asked == asked + 1, "and asks at once when it is seen again"


def test_a_server_that_is_lost_is_said_to_be_and_is_found_again(visit, stub):
    opened = visit(refusals=True)
    opened.locator("#figures b").first.wait_for()
    stub.stop()
    opened.clock.run_for(2100)
    opened.locator("#lost", has_text="The server does not answer.").wait_for()
    panel = ask(opened, "one", "the cat")
    assert panel.locator(".error").inner_text() == "The server does not answer."
    assert panel.locator("textarea").input_value() == "the cat"
    stub.start()
    stub.figures["tiny"]["requests"] = 4321
    polled(opened, stub)
    opened.locator("#figures b", has_text="4,321").wait_for()
    assert opened.locator("#lost").inner_text() == ""
    panel.locator(".go").click()
    panel.locator(".headline", has_text="the cat").wait_for()


@pytest.mark.parametrize("guarded", ["/stats too", "views alone"])
def test_a_key_is_asked_for_and_kept_in_memory_alone(visit, stub, guarded):
    stub.key = "sk-one"
    if guarded == "views alone":
        answer = stub.stats
        stub.stats = lambda _: answer(f"Bearer {stub.key}")
    opened = visit(refusals=True)
    form, field = opened.locator("#key"), opened.get_by_label("This server asks for an API key")
    form.wait_for()
    assert field.get_attribute("type") == "password"
    panel = ask(opened, "one", "the cat")
    assert "asks for an API key" in panel.locator(".error").inner_text()
    assert opened.evaluate("document.activeElement.id") == "key-field"
    for wrong, said in (("sk-ö", "only letters"), ("sk-two", "does not accept this key")):
        field.fill(wrong)
        form.get_by_role("button").click()
        form.locator(".error", has_text=said).wait_for()
    field.fill("sk-one")
    opened.keyboard.press("Enter")
    panel.locator(".headline", has_text="the cat").wait_for()
    assert form.is_hidden()
    assert opened.locator("#figures b").first.inner_text() == "1,234"
    kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href, history.state])"
    assert "sk-one" not in opened.evaluate(kept) + opened.content()
    assert field.input_value() == ""
    polled(opened, stub)
    assert form.is_hidden()
    stub.key = "sk-new"
    panel.locator(".go").click()
    form.locator(".error", has_text="does not accept").wait_for()


def test_of_several_models_one_is_chosen(visit, stub, embedder, tmp_path):
    opened = visit()
    opened.locator("#figures b").first.wait_for()
    picker = opened.get_by_label("Model", exact=True)
    assert picker.is_hidden()
    other = Embedder(tiny.write_model(tmp_path / "n", seed=1), on_truncation="ignore")
    stub.models[EVIL] = other
    stub.figures[EVIL] = stub.figures["tiny"] | {"requests": 7, "dimensions": 99}
    polled(opened, stub)
    picker.wait_for()
    ask(opened, "one", "the cat")
    picker.select_option(EVIL)
    assert opened.locator("#figures b").first.inner_text() == "7"
    assert "99 numbers" in opened.locator("#model-facts").inner_text()
    polled(opened, stub)
    assert picker.input_value() == EVIL, "the figures leave the choice alone"
    panel = ask(opened, "one", "the cat")
    assert [body.get("model") for _, body in stub.asked] == ["tiny", EVIL]
    panel.locator("#vector summary").click()
    panel.locator("#vector .all").wait_for()
    first = float(panel.locator("#vector .all").inner_text().split(", ")[0])
    assert first == pytest.approx(other.embed_query("the cat")[0], abs=3e-6)


@pytest.mark.parametrize("viewport", [WIDE, PHONE])
def test_html_in_a_text_is_shown_and_not_run(visit, viewport):
    opened = visit(viewport=viewport)
    assert ask(opened, "one", EVIL).locator(".headline").inner_text() == EVIL
    assert ask(opened, "two", EVIL, EVIL).locator("blockquote").all_inner_texts() == [EVIL, EVIL]
    assert ask(opened, "many", f"{EVIL}\n{EVIL}").locator(".words").all_inner_texts() == [EVIL, EVIL]
    assert opened.locator("img, main script, main iframe").count() == 0
    assert opened.evaluate("location.hash") == "#many"
    assert fits(opened)


def test_the_policy_stops_what_would_be_put_in(visit, stub):
    opened = visit()
    opened.evaluate("""() => {
        const script = document.createElement('script');
        script.textContent = 'window.ran = true';
        document.body.append(script);
    }""")
    assert opened.evaluate("window.ran") is None
    refused = opened.evaluate("fetch('http://127.0.0.1:9/').then(() => 'let through', error => error.name)")
    assert refused == "TypeError"
    # And so these tests would notice a complaint or a request.
    assert any("Content Security Policy" in line for line in opened.seen)
    opened.seen.clear()


def test_views_are_drawn_again_and_again_and_beside_each_other(visit):
    opened = visit()
    for text in ("the cat", "a dog on the mat"):
        ask(opened, "two", text, "the dog")
        ask(opened, "many", f"{text}\nthe dog\nthe mat")
        panel = ask(opened, "one", text)
    assert panel.locator(".headline").all_inner_texts() == ["a dog on the mat"]
    assert panel.locator(".result > section").count() == 7
    ids = opened.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))

    def drawn():
        return [canvas.evaluate(PIXELS) for canvas in panel.locator("canvas").all()]

    light = drawn()
    opened.get_by_role("button", name="dark colours").click()
    assert all(now != then for now, then in zip(drawn(), light, strict=True))
    opened.get_by_role("button", name="light colours").click()
    assert drawn() == light


def test_what_is_drawn_behind_another_tab_fits_when_it_is_looked_at(visit, stub):
    opened = visit()
    free = threading.Event()
    stub.before = lambda *_: free.wait(60)
    for mode in ("many", "one"):
        opened.locator(f"#tab-{mode}").click()
        opened.locator(f"#panel-{mode} .try").first.click()
    opened.locator("#tab-two").click()
    free.set()
    opened.locator(".result > section").nth(9).wait_for(state="attached")
    opened.locator("#tab-many").click()
    wide = opened.locator(".plane").evaluate("one => one.clientWidth")
    opened.locator(f".plane svg[width='{wide}']").wait_for()
    assert wide > 800
    assert opened.locator("#alike .cells").bounding_box()["width"] > 300
    opened.locator("#tab-one").click()
    wide = opened.locator(".lines").evaluate("one => one.clientWidth")
    opened.locator(f".lines svg[width='{wide}']").wait_for()


def test_the_keyboard_reaches_everything_and_can_be_seen(visit, stub):
    opened = visit()
    stub.figures["other"] = stub.figures["tiny"]
    polled(opened, stub)
    opened.locator("#model").wait_for()
    reached = []
    for _ in range(30):
        opened.keyboard.press("Tab")
        name, visible = opened.evaluate("""() => {
            const one = document.activeElement;
            return [one.id || one.className || one.tagName, getComputedStyle(one).outlineStyle !== 'none'];
        }""")
        if name == "BODY":
            break
        reached.append(name)
        assert visible, name
    assert reached == ["skip", "theme", "tab-one", "model", "panel-one-text-1", "go", "try", "try", "try"]
    labelled = "[...document.querySelectorAll('textarea, select, input')].every((one) => one.labels.length === 1)"
    assert opened.evaluate(labelled)
    levels = [int(tag[1]) for tag in opened.locator(":is(h1, h2, h3)").evaluate_all("all => all.map(h => h.tagName)")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    ask(opened, "one", "the cat")
    levels = [int(tag[1]) for tag in opened.locator(":is(h1, h2, h3)").evaluate_all("all => all.map(h => h.tagName)")]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


CONTRASTS = """() => {
    const channels = (color) => color.match(/[\\d.]+/g).map(Number);
    const luminance = (color) => channels(color).slice(0, 3).map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (one) => {
        const color = getComputedStyle(one).backgroundColor;
        return channels(color)[3] === 0 && one.parentElement ? ground(one.parentElement) : color;
    };
    const told = (one) => one.checkVisibility() && [...one.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    return [...document.querySelectorAll('body *')].filter(told).map((one) => {
        const style = getComputedStyle(one);
        const [low, high] = [style.color, ground(one)].map(luminance).sort((a, b) => a - b);
        return [one.className || one.id || one.tagName, (high + 0.05) / (low + 0.05)];
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_that_of_wcag_aa(visit, stub, scheme):
    stub.key = "sk"
    answer = stub.stats
    stub.stats = lambda _: answer("Bearer sk")
    opened = visit(scheme=scheme, refusals=True)
    opened.locator("#key").wait_for()
    ask(opened, "one", "the cat")
    stub.stop()
    opened.clock.run_for(2100)
    opened.locator("#lost", has_text="does not answer").wait_for()
    found = opened.evaluate(CONTRASTS)
    assert len(found) > 20
    assert [(name, ratio) for name, ratio in found if ratio < 4.5] == []


def test_the_real_model(minilm, visit, stub, golden_minilm):
    stub.models["tiny"] = minilm
    opened = visit(viewport=PHONE)
    lines = [" ".join(text.split()) for text in golden_minilm.texts]
    lines = [line for line in lines if line][:100] * 2
    panel = ask(opened, "many", "\n".join(lines))
    assert panel.locator(".plane path").count() == len(lines)
    assert panel.locator(".pairs b").first.inner_text() == "1.000", "each is there twice"
    assert fits(opened)
    panel = ask(opened, "two", "How do I reset my password?", "I forgot my login credentials")
    assert number(panel.locator(".headline").inner_text()) == pytest.approx(0.6776, abs=1e-4)
