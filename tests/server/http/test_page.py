"""The views of the home page in a browser. ``make test-browser`` runs these tests."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest

from pellucid import MultiVectorEmbedder, SparseEmbedder
from tests import browser as browsers
from tests import multi_vector_models, tiny
from tests.browser import EVIL, PHONE, PIXELS, WIDE, fits, hover_cell, number
from tests.server.http.browsing import submit, wait_for_poll

pytestmark = browsers.needed()


def test_nothing_is_computed_before_the_user_asks(visit, stub):
    page = visit()
    page.locator("#stats b").first.wait_for()
    assert stub.requests == []
    assert page.locator(".result *").count() == 0


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (PHONE, "dark")])
def test_one_text_shows_every_step(visit, stub, page_embedder, viewport, scheme):
    page = visit(viewport=viewport, scheme=scheme)
    panel = submit(page, "one", "the cat sat")
    trace = page_embedder.trace("the cat sat")
    assert stub.requests == [("/view/trace", {"input": "the cat sat"})]
    titles = ["Text", "Tokens", "Ids", "Token vectors", "Context", "Pooling", "Vector"]
    assert panel.locator("section h2").all_inner_texts() == titles
    assert panel.locator(".headline").inner_text() == "the cat sat"
    assert panel.locator("#tokens .chip[role=option]").all_inner_texts() == [token.piece for token in trace.tokens]
    panel.locator("#vector summary").click()
    numbers = [float(part) for part in panel.locator("#vector .all-numbers").inner_text().split(", ")]
    np.testing.assert_allclose(numbers, trace.vector, rtol=0, atol=0.51e-6)
    hover_cell(panel.locator("#context .map"), 2, 3, (5, 5))
    mean = trace.layers[-1].arrays["attention"].mean(axis=0)
    assert number(panel.locator("#context .map .readout").inner_text()) == pytest.approx(mean[2, 3], abs=0.51e-4)
    assert re.fullmatch(r"Done in [\d.,]+ ms", panel.locator(".state").inner_text())
    assert fits(page)


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "dark"), (PHONE, "light")])
def test_two_texts_are_compared(visit, stub, page_embedder, viewport, scheme):
    page = visit(viewport=viewport, scheme=scheme)
    panel = submit(page, "two", "the cat sat", "a dog on the mat")
    comparison = page_embedder.compare("the cat sat", "a dog on the mat")
    assert stub.requests == [("/view/compare", {"inputs": ["the cat sat", "a dog on the mat"]})]
    assert panel.locator(".headline").inner_text() == f"cosine {comparison.cosine:.4f}"
    hover_cell(panel.locator("#pairs"), 1, 0, (len(comparison.pairs) - 1, len(comparison.pairs.T) - 1))
    assert number(panel.locator("#pairs .readout").inner_text()) == pytest.approx(comparison.pairs[2, 1], abs=0.51e-3)
    with page.expect_download() as download:
        panel.locator("#pairs").get_by_role("button", name="as PNG").click()
    assert download.value.suggested_filename == "pairs-of-tokens.png"
    assert fits(page)


@pytest.mark.parametrize("kind", ["sparse_embedder", "multi_vector_embedder"])
def test_a_query_and_a_document_have_a_score(visit, stub, tmp_path, kind):
    if kind == "sparse_embedder":
        task = SparseEmbedder(tiny.write_splade_model(tmp_path / "m"))
    else:
        task = MultiVectorEmbedder(multi_vector_models.write_model(tmp_path / "m"))
    stub.models["scores"], stub.model_stats["scores"] = task, stub.model_stats["tiny"] | {"kind": kind}
    page = visit(viewport=PHONE)
    page.get_by_label("Model", exact=True).select_option("scores")
    name = {"sparse_embedder": "sparse embedder", "multi_vector_embedder": "multi-vector embedder"}[kind]
    assert page.locator("#model-facts").inner_text().startswith(f"a {name}, 384 dimensions")
    panel = submit(page, "two", "the cat", "a cat sat, on the mat")
    assert stub.requests == [("/view/compare", {"model": "scores", "inputs": ["the cat", "a cat sat, on the mat"]})]
    score = task.explain("the cat", "a cat sat, on the mat").score
    assert panel.locator(".headline").inner_text() == f"score {score:.4f}"
    assert panel.locator("section h2").first.inner_text() == (
        "Terms in common" if kind == "sparse_embedder" else "What each token found"
    )
    assert fits(page)


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (PHONE, "dark")])
def test_ten_lines_become_a_map(visit, stub, page_embedder, viewport, scheme):
    page = visit(viewport=viewport, scheme=scheme)
    words = ["cat", "dog", "mat", "sat", "the"]
    lines = [f"{first} {second}" for first in words[:2] for second in words]
    panel = submit(page, "many", "\n  \n".join(lines) + " \n")
    assert stub.requests == [("/view/map", {"inputs": lines})], "empty lines are skipped"
    assert panel.locator(".count").inner_text() == "10 texts"
    shown = panel.locator(".texts .words").all_inner_texts()
    assert sorted(shown) == sorted(lines)
    assert panel.locator(".plane text").count() == 10
    vectors = page_embedder.embed_documents(shown)
    panel.locator("#similarity .box").focus()
    page.keyboard.press("Control+Home")
    page.keyboard.press("ArrowRight")
    assert number(panel.locator("#similarity .readout").inner_text()) == pytest.approx(
        vectors[0] @ vectors[1], abs=0.6e-3
    )
    panel.locator("#similarity summary").click()
    panel.locator("#similarity tbody td").first.wait_for()
    table = np.array(panel.locator("#similarity tbody td").all_inner_texts(), float).reshape(10, 10)
    np.testing.assert_allclose(table, vectors @ vectors.T, rtol=0, atol=0.56e-2)
    assert fits(page)


@pytest.mark.parametrize("mode", ["one", "two", "many"])
def test_a_click_runs_an_example(visit, stub, mode):
    page = visit(fragment=f"#{mode}")
    panel = page.locator(f"#panel-{mode}")
    for example in panel.locator(".example").all():
        example.click()
        panel.locator(".result[aria-busy=false] > section").first.wait_for()
    assert len(stub.requests) == panel.locator(".example").count() >= 2
    assert panel.locator("textarea").first.input_value() != ""


def test_an_error_is_shown_and_the_texts_stay(visit, stub):
    page = visit(allow_errors=True)
    submit(page, "many", "the cat\na dog")
    panel = submit(page, "many", "only one line")
    assert "at least 2 texts" in panel.locator(".error").inner_text()
    assert panel.locator(".error").get_attribute("role") == "alert"
    assert panel.locator("textarea").input_value() == "only one line"
    assert panel.locator(".result *").count() == 0, "the old view was of other texts"
    panel = submit(page, "many", "\n".join(["the cat"] * 201))
    assert "at most 200" in panel.locator(".error").inner_text()
    panel = submit(page, "many", "the cat\nthe dog")
    assert panel.locator(".error").inner_text() == ""
    stub.view = lambda *_: (503, ["unexpected"])
    panel = submit(page, "one", "the cat")
    assert "status 503" in panel.locator(".error").inner_text()
    stub.view = lambda *_: (503, {"error": {"message": EVIL}})
    panel = submit(page, "one", "the cat")
    panel.locator(".error", has_text=EVIL).wait_for()


def test_the_page_says_that_a_view_cannot_be_drawn(visit, stub):
    page = visit()
    stub.view = lambda *_: (200, {"kind": "trace"})
    panel = submit(page, "one", "the cat")
    assert "could not be drawn" in panel.locator(".error").inner_text()
    assert page.problems.pop().startswith("error ")


def test_a_newer_request_aborts_an_older_one(visit, stub):
    page = visit()
    free, failed = threading.Event(), []
    page.on("requestfailed", lambda request: failed.append(request.post_data_json))
    stub.on_request = lambda _path, body: body["input"] == "the dog" and free.wait(60)
    panel = page.locator("#panel-one")
    panel.locator("textarea").fill("the dog")
    panel.locator(".submit").click()
    panel.locator(".state", has_text="Working…").wait_for()
    assert panel.locator(".result").get_attribute("aria-busy") == "true"
    panel = submit(page, "one", "the cat")
    assert failed == [{"input": "the dog"}]
    free.set()
    wait_for_poll(page, stub)
    assert panel.locator(".headline").inner_text() == "the cat"
    assert panel.locator(".state").inner_text().startswith("Done")


@pytest.mark.parametrize("viewport", [WIDE, PHONE])
def test_html_in_a_text_is_shown_and_not_run(visit, viewport):
    page = visit(viewport=viewport)
    assert submit(page, "one", EVIL).locator(".headline").inner_text() == EVIL
    assert submit(page, "two", EVIL, EVIL).locator("blockquote").all_inner_texts() == [EVIL, EVIL]
    assert submit(page, "many", f"{EVIL}\n{EVIL}").locator(".words").all_inner_texts() == [EVIL, EVIL]
    assert page.locator("img, main script, main iframe").count() == 0
    assert page.evaluate("location.hash").startswith("#many&")
    assert fits(page)


def test_the_policy_blocks_injected_scripts_and_other_servers(visit, stub):
    page = visit()
    page.evaluate("""() => {
        const script = document.createElement('script');
        script.textContent = 'window.ran = true';
        document.body.append(script);
    }""")
    assert page.evaluate("window.ran") is None
    refused = page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'let through', error => error.name)")
    assert refused == "TypeError"
    # This shows that these tests notice an error or a request.
    assert any("Content Security Policy" in line for line in page.problems)
    page.problems.clear()


def test_views_are_drawn_repeatedly_and_in_several_tabs(visit):
    page = visit()
    for text in ("the cat", "a dog on the mat"):
        submit(page, "two", text, "the dog")
        submit(page, "many", f"{text}\nthe dog\nthe mat")
        panel = submit(page, "one", text)
    assert panel.locator(".headline").all_inner_texts() == ["a dog on the mat"]
    assert panel.locator(".result > section").count() == 7
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))

    def drawn():
        return [canvas.evaluate(PIXELS) for canvas in panel.locator("canvas").all()]

    light = drawn()
    page.get_by_role("button", name="dark colours").click()
    assert all(now != then for now, then in zip(drawn(), light, strict=True))
    page.get_by_role("button", name="light colours").click()
    assert drawn() == light


def test_a_view_drawn_in_a_hidden_tab_fits_when_the_tab_opens(visit, stub):
    page = visit()
    free = threading.Event()
    stub.on_request = lambda *_: free.wait(60)
    for mode in ("many", "one"):
        page.locator(f"#tab-{mode}").click()
        page.locator(f"#panel-{mode} .example").first.click()
    page.locator("#tab-two").click()
    free.set()
    page.locator(".result > section").nth(9).wait_for(state="attached")
    page.locator("#tab-many").click()
    wide = page.locator(".plane").evaluate("one => one.clientWidth")
    page.locator(f".plane > svg[width='{wide}']").wait_for()
    assert wide > 600
    assert page.locator("#similarity .cells").bounding_box()["width"] > 300
    page.locator("#tab-one").click()
    wide = page.locator(".lines").evaluate("one => one.clientWidth")
    page.locator(f".lines svg[width='{wide}']").wait_for()


def test_the_real_model(minilm, visit, stub, golden_minilm):
    stub.models["tiny"] = minilm
    page = visit(viewport=PHONE)
    lines = [" ".join(text.split()) for text in golden_minilm.texts]
    lines = [line for line in lines if line][:100] * 2
    panel = submit(page, "many", "\n".join(lines))
    assert panel.locator(".texts li button").count() == len(lines)
    assert panel.locator(".pairs b").first.inner_text() == "1.000", "each text is there twice"
    assert fits(page)
    panel = submit(page, "two", "How do I reset my password?", "I forgot my login credentials")
    assert number(panel.locator(".headline").inner_text()) == pytest.approx(0.6776, abs=1e-4)
