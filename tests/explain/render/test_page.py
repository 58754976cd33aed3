"""The pages in a browser: Debian's chromium, driven by Playwright. ``make test-browser`` runs these tests."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from pellucid import Embedder
from pellucid.explain.render.html import page as html_of
from pellucid.explain.text_map import text_map
from tests import browser as browsers
from tests import tiny
from tests.browser import EVIL, PHONE, PIXELS, WIDE, fits, hover_cell, number
from tests.tiny_families import HIDDEN, LAYERS

pytestmark = browsers.needed()


@pytest.mark.parametrize("family", ["bert", "mpnet", "modernbert"])
@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (PHONE, "dark")])
@pytest.mark.parametrize("text", ["", "the cat sat", "the matting \U0001f600 " * 30])
def test_a_trace_is_drawn(show, tmp_path, family, viewport, scheme, text):
    embedder = Embedder(tiny.write_model(tmp_path / "m", family, prompts={"query": "query: "}), on_truncation="ignore")
    trace = embedder.trace(text)
    opened = show(html_of(trace), viewport=viewport, scheme=scheme)
    titles = ["Text", "Tokens", "Ids", "Token vectors", "Context", "Pooling", "Vector"]
    assert opened.locator("h2").all_inner_texts() == titles
    assert opened.locator(".toc a").all_inner_texts() == titles
    n = len(trace.tokens)
    shapes = [f"[{n}]", f"[{n}]", f"[{n} × {HIDDEN}]", f"[{n} × {HIDDEN}]", f"[{HIDDEN}]", f"[{HIDDEN}]"]
    assert opened.locator(".shape").all_inner_texts() == shapes
    assert opened.locator("#tokens .strip > .chips .chip").all_inner_texts() == [token.piece for token in trace.tokens]
    assert opened.locator("#ids b").all_inner_texts() == [str(token.id) for token in trace.tokens]
    for stage in ("text", "tokens", "embedding", "layer 1", "pooling", "normalize", "vector"):
        assert trace.stage(stage).sentence.strip() in " ".join(opened.locator(".sentence").all_inner_texts())
    assert "query: " in opened.locator(".tokenizer-input").inner_text()
    cut = opened.locator(".cut")
    assert cut.count() == (1 if trace.cut else 0)
    if trace.cut:
        assert f"{len(trace.cut)} tokens" in cut.inner_text()
    assert fits(opened)
    # A canvas with many colours shows that the heat map was drawn.
    for canvas in opened.locator(".cells canvas").all():
        assert len({tuple(color) for color in np.reshape(canvas.evaluate(PIXELS), (-1, 4))}) > 3


def test_one_token_is_not_one_tokens(show, embedder):
    long = embedder.trace("the " * 23)
    assert (len(long.cut), len(embedder.trace("").tokens)) == (1, 2)
    assert "the model did not read 1 token." in show(html_of(long)).locator(".cut").inner_text()
    alone = dataclasses.replace(embedder.trace("cat"), tokens=embedder.trace("cat").tokens[:1])
    assert " · 1 token · " in show(html_of(alone)).locator(".facts").inner_text()


def test_hover_and_keyboard_show_the_numbers_of_attention(show, embedder):
    trace = embedder.trace("the cat sat on a mat")
    opened = show(html_of(trace))
    context = opened.locator("#context")
    map_, readout = context.locator(".map"), context.locator(".map .readout")
    pieces, n = [token.piece for token in trace.tokens], len(trace.tokens)
    attention = np.stack([layer.arrays["attention"] for layer in trace.layers])

    def says(numbers, i, j):
        text = readout.inner_text()
        assert text.startswith(f"{pieces[i]} → {pieces[j]}: ")
        assert number(text) == pytest.approx(numbers[i, j], abs=0.51e-4)

    mean = attention[-1].mean(axis=0)
    says(mean, *np.unravel_index(mean.argmax(), mean.shape))
    for i, j in [(0, 0), (2, 3), (n - 1, 0), (1, n - 1)]:
        hover_cell(map_, i, j, (n, n))
        says(mean, i, j)
    opened.mouse.move(0, 0)
    map_.locator(".box").focus()
    moves = {"Left": (0, -1), "Down": (1, 0), "Up": (-1, 0), "Right": (0, 1)}
    i, j = 1, n - 1
    for key in ["Right", "Left", "Down", "Down", "Up", "Up", "Up", "Up", "Left"]:
        opened.keyboard.press(f"Arrow{key}")
        i, j = (int(np.clip(at + by, 0, n - 1)) for at, by in zip((i, j), moves[key], strict=True))
        says(mean, i, j)
    for key, i, j in [("Home", 0, 0), ("Control+End", n - 1, n - 1), ("Home", n - 1, 0), ("Control+Home", 0, 0)]:
        opened.keyboard.press(key)
        says(mean, i, j)

    opened.locator("#layer").focus()
    opened.keyboard.press("ArrowLeft")
    assert opened.locator(".layer label").inner_text() == f"Layer {LAYERS - 1} of {LAYERS}"
    says(attention[-2].mean(axis=0), i, j)
    opened.get_by_label("3", exact=True).focus()
    opened.keyboard.press("Space")
    says(attention[-2][2], i, j)
    context.locator(".map summary").click()
    context.locator(".map tbody td").first.wait_for()
    cells = context.locator(".map tbody td").all_inner_texts()
    np.testing.assert_allclose(np.array(cells, float).reshape(n, n), attention[-2][2], rtol=0, atol=0.51e-4)


def test_a_chosen_token_is_highlighted_in_every_section(show, embedder):
    trace = embedder.trace("the cat sat on the mat")
    opened = show(html_of(trace))
    chips = opened.locator("#tokens .chip[role=option]")
    chips.nth(2).hover()
    assert opened.locator("#tokens .readout").inner_text() == (
        f"token 2: cat · id {trace.tokens[2].id} · from “cat”, characters 4 to 7"
    )
    chips.nth(1).focus()
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowRight")
    assert opened.evaluate("document.activeElement.textContent") == "sat"
    lookups = opened.locator("#token-vectors .readout").inner_text()
    assert lookups.startswith("sat[0] = ")
    assert number(lookups) == pytest.approx(trace.stage("embedding").arrays["vectors"][3, 0], abs=0.51e-3)
    assert opened.locator("#context .map .readout").inner_text().startswith("sat → ")
    drift = opened.locator(".drift .readout")
    assert drift.inner_text().startswith("sat · after layer 3: ")
    assert number(drift.inner_text()) == pytest.approx(trace.drift()[2, 3], abs=0.51e-4)
    assert opened.locator("#pooling tr.on th").inner_text() == "sat"
    share = opened.locator("#pooling tr.on td").last.inner_text()
    assert number(share) == pytest.approx(trace.shares[3], abs=0.51e-3)
    chips.nth(5).click()
    assert opened.locator("#token-vectors .readout").inner_text().startswith("the (5)[0] = "), (
        "the position follows, because the piece occurs twice"
    )


def test_hover_and_keyboard_show_the_numbers_of_drift_and_vector(show, embedder):
    trace = embedder.trace("the cat sat")
    opened = show(html_of(trace))
    opened.locator(".lines").focus()
    steps = [("ArrowDown", 1, 3), ("ArrowLeft", 1, 2), ("ArrowDown", 2, 2), ("ArrowUp", 1, 2), ("End", 4, 2)]
    for key, token, layer in steps:
        opened.keyboard.press(key)
        text = opened.locator(".drift .readout").inner_text()
        assert text.startswith(f"{trace.tokens[token].piece} · after layer {layer}: ")
        assert number(text) == pytest.approx(trace.drift()[layer - 1, token], abs=0.51e-4)
    dot = opened.locator(".lines .dot").nth(1).bounding_box()
    opened.mouse.move(dot["x"] + 3, dot["y"] + 3)
    assert re.match(r".* · after layer 1: ", opened.locator(".drift .readout").inner_text())
    vector = opened.locator("#vector")
    for column in (0, 7, HIDDEN - 1):
        hover_cell(vector, 0, column, (1, HIDDEN))
        text = vector.locator(".readout").inner_text()
        assert text.startswith(f"vector[{column}] = ")
        assert number(text) == pytest.approx(trace.vector[column], abs=0.51e-6)
    vector.locator("summary").click()
    numbers = [float(part) for part in vector.locator(".all-numbers").inner_text().split(", ")]
    np.testing.assert_allclose(numbers, trace.vector, rtol=0, atol=0.51e-6)


def test_html_in_a_text_a_prompt_a_piece_or_a_name_is_shown_and_not_run(show, embedder):
    trace = embedder.trace(EVIL, prompt=EVIL)
    tokens = tuple(dataclasses.replace(token, piece=EVIL) for token in trace.tokens)
    trace = dataclasses.replace(trace, model_name=EVIL, tokens=tokens, cut=tokens)
    opened = show(html_of(trace))
    assert opened.locator("h1").inner_text() == EVIL
    assert opened.locator(".tokenizer-input dd").all_inner_texts()[:2] == [EVIL, EVIL]
    assert opened.locator(".facts").inner_text().startswith(EVIL)
    assert opened.locator(".chip[role=option]").first.inner_text() == EVIL
    assert opened.locator(".cut .chip").first.inner_text() == EVIL
    assert opened.title().startswith(EVIL[:20])
    assert opened.locator("img, b:not(#ids b), main script").count() == 0
    comparison = dataclasses.replace(embedder.compare(EVIL, EVIL), first=trace)
    opened = show(html_of(comparison), viewport=PHONE)
    assert opened.locator("blockquote").all_inner_texts() == [EVIL, EVIL]
    assert opened.locator("img, main script").count() == 0
    assert fits(opened)


def test_the_policy_blocks_injected_scripts_and_requests(show, embedder):
    opened = show(html_of(embedder.trace("the cat")))
    opened.evaluate("""() => {
        const script = document.createElement('script');
        script.textContent = 'window.ran = true';
        document.body.append(script);
    }""")
    assert opened.evaluate("window.ran") is None
    refused = opened.evaluate("fetch('http://127.0.0.1:9/').then(() => 'let through', error => error.name)")
    assert refused == "TypeError"
    # This shows that the fixture notices what the browser logs.
    assert any("Content Security Policy" in line for line in opened.seen)
    opened.seen.clear()


def test_on_paper_the_page_is_light_and_nothing_scrolls(show, embedder):
    opened = show(html_of(embedder.trace("the cat sat on the mat " * 9)), scheme="dark")
    chips = opened.locator(".chips").first
    assert chips.evaluate("chips => getComputedStyle(chips).maxHeight") != "none"
    opened.emulate_media(media="print", color_scheme="dark")
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.locator("html").get_attribute("data-theme") == "light"
    assert chips.evaluate("chips => getComputedStyle(chips).maxHeight") == "none"
    assert not opened.locator(".toc").is_visible()
    opened.evaluate("dispatchEvent(new Event('afterprint'))")
    assert opened.locator("html").get_attribute("data-theme") == "dark"


def test_the_theme_follows_the_system_and_the_button(show, embedder):
    content = html_of(embedder.trace("the cat sat"))
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light, dark = show(content, scheme="light"), show(content, scheme="dark")

    def drawn(opened):
        return opened.evaluate(ground), opened.locator(".cells canvas").first.evaluate(PIXELS)

    in_light, in_dark = drawn(light), drawn(dark)
    assert in_light[0] != in_dark[0]
    assert in_light[1] != in_dark[1]
    light.get_by_role("button", name="dark colours").press("Enter")
    assert drawn(light) == in_dark
    light.get_by_role("button", name="light colours").click()
    assert drawn(light) == in_light
    dark.emulate_media(color_scheme="light")
    # The page is notified at its next frame. wait_for_function would need eval, which the policy forbids.
    dark.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert drawn(dark) == in_light


def test_a_tap_on_a_phone_chooses_a_cell(show, embedder):
    trace = embedder.trace("the cat sat on a mat " * 9)
    opened = show(html_of(trace), viewport=PHONE, touch=True)
    cells = opened.locator("#context .cells")
    cells.scroll_into_view_if_needed()
    opened.locator("#context .box").evaluate("box => box.scrollTo(0, 0)")
    size = cells.bounding_box()["width"] / len(trace.tokens)
    cells.tap(position={"x": 3.5 * size, "y": 2.5 * size})
    text = opened.locator("#context .map .readout").inner_text()
    assert text.startswith("cat (2) → sat (3): ")
    assert number(text) == pytest.approx(trace.layers[-1].arrays["attention"].mean(axis=0)[2, 3], abs=0.51e-4)
    assert fits(opened)


def test_the_keyboard_reaches_everything_and_the_focus_is_visible(show, embedder):
    opened = show(html_of(embedder.trace("the cat")))
    reached = []
    for _ in range(60):
        opened.keyboard.press("Tab")
        focused = opened.evaluate("""() => {
            const one = document.activeElement;
            const visible = getComputedStyle(one).outlineStyle !== 'none' || one.type === 'radio';
            return [one.className || one.id || one.tagName, visible];
        }""")
        if focused[0] == "BODY":
            break
        reached.append(focused)
    assert all(visible for _, visible in reached), reached
    assert {"skip", "theme", "box", "lines", "layer", "scroll", "SUMMARY"} <= {name for name, _ in reached}
    assert sum("chip" in name for name, _ in reached) == 1, "a strip is one tab stop, whatever its length"
    names = "[...document.querySelectorAll('[tabindex=\"0\"]:not([role=option])')].every(one => one.ariaLabel)"
    assert opened.evaluate(names)


@pytest.mark.parametrize(("ground", "ink"), [("#ffffff", "#000000dd"), ("#111111", "#ffffffdd")], ids=["light", "dark"])
def test_a_notebook_shows_a_small_picture(show, embedder, ground, ink):
    long = "the cat sat on the mat, and a dog looked at the cat. " * 20
    subjects = [
        embedder.trace(long),
        embedder.compare(long, "a dog and a cat"),
        text_map(embedder.encoder, [long, "a"]),
    ]
    cells = "".join(f"<div class=cell>{subject._repr_html_()}</div>" for subject in subjects)
    style = f"<style>body {{ background: {ground}; color: {ink} }}</style>"
    opened = show(f"<!doctype html><title>x</title>{style}<main data-ready>{cells}</main>")
    heights = opened.locator(".cell").evaluate_all("cells => cells.map(cell => cell.offsetHeight)")
    assert len(heights) == 3
    assert max(heights) < 500
    assert fits(opened)
    assert opened.locator("script, iframe").count() == 0


def test_the_page_of_a_long_text_on_the_real_model(show, minilm, golden_minilm):
    trace = minilm.trace(" ".join(golden_minilm.texts))
    opened = show(html_of(trace), viewport=PHONE)
    assert opened.locator(".head").count() == 13
    assert fits(opened)
    map_ = opened.locator("#context .map")
    map_.locator(".box").focus()
    for key in ("Control+Home", "ArrowDown", "ArrowRight", "ArrowRight"):
        opened.keyboard.press(key)
    value = number(map_.locator(".readout").inner_text())
    assert value == pytest.approx(trace.layers[-1].arrays["attention"].mean(axis=0)[1, 2], abs=0.51e-3)
    assert Path(opened.url.removeprefix("file://")).stat().st_size < 3_000_000
