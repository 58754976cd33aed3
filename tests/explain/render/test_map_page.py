"""The page of many texts in a browser. ``make test-browser`` runs these tests."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pellucid.explain.render.html import page as html_of
from pellucid.explain.text_map import PALETTE, text_map
from tests import browser as browsers
from tests.browser import EVIL, PHONE, WIDE, fits, number

pytestmark = browsers.needed()

COLORS = """canvas => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
    copy.drawImage(canvas, 0, 0);
    const colors = new Set(new Uint32Array(copy.getImageData(0, 0, canvas.width, canvas.height).data.buffer));
    return [...colors].map((color) => [color & 255, (color >> 8) & 255, (color >> 16) & 255]);
}"""


def colors_shown(opened):
    """Every colour of the plane."""
    return {"#{:02x}{:02x}{:02x}".format(*color) for color in opened.locator(".plane canvas").evaluate(COLORS)}


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (PHONE, "dark")])
def test_hover_and_keyboard_choose_texts_in_a_map(show, embedder, viewport, scheme):
    texts = ["the cat sat", EVIL, "a dog", "the mat", "dog dog"]
    found = text_map(embedder.encoder, texts)
    opened = show(html_of(found), viewport=viewport, scheme=scheme)
    order = found.order()
    assert opened.locator("h2").all_inner_texts() == [
        "The texts in the plane",
        "The similarity of each pair",
        "The texts",
    ]
    assert opened.locator(".texts .words").all_inner_texts() == [texts[place] for place in order]
    assert opened.locator("img, main script").count() == 0
    plane, readout = opened.locator(".plane"), opened.locator("#plane .readout")
    plane.evaluate("one => one.scrollIntoView({block: 'center'})")
    box = plane.bounding_box()
    for row, dot in enumerate(opened.locator(".plane text").all()):
        assert dot.text_content() == str(row + 1)
        opened.mouse.move(box["x"] + float(dot.get_attribute("x")) - 9, box["y"] + float(dot.get_attribute("y")) + 7)
        assert readout.inner_text().startswith(f"{row + 1} “{texts[order[row]][:60]}"), (
            "the line must describe the text under the pointer"
        )
        assert opened.locator(".texts li button.on span:first-child").all_inner_texts() == [str(row + 1)]
    plane.focus()
    lines = {readout.inner_text()}
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        opened.keyboard.press(key)
        lines.add(readout.inner_text())
    assert len(lines) > 1
    opened.locator("#similarity .box").focus()
    opened.keyboard.press("Control+Home")
    opened.keyboard.press("ArrowRight")
    assert number(opened.locator("#similarity .readout").inner_text()) == pytest.approx(
        found.similarity[order[0], order[1]], abs=0.51e-3
    )
    assert opened.locator(".texts li button.on span:first-child").all_inner_texts() == ["1", "2"]
    assert opened.locator(".plane path.on").count() == 2
    best = max(found.similarity[i, j] for i in range(5) for j in range(i))
    assert float(opened.locator(".pairs b").first.inner_text()) == pytest.approx(best, abs=0.51e-3)
    assert fits(opened)


@pytest.mark.parametrize("texts", [[], ["a cat"], ["the cat", "the cat"], ["the cat", "a dog", "dog"] * 120])
def test_a_map_of_any_number_of_texts_is_drawn(show, embedder, texts):
    opened = show(html_of(text_map(embedder.encoder, texts)))
    assert opened.locator(".texts li button").count() == len(texts)
    assert (len(colors_shown(opened)) > 3) == (len(texts) > 0)
    assert opened.locator("#similarity").count() == (2 <= len(texts) <= 300)


def test_texts_that_were_cut_are_marked_in_a_map(show, embedder):
    opened = show(html_of(text_map(embedder.encoder, ["the cat", "cat " * 50])))
    assert "1 text is longer than the 24 tokens" in opened.locator("#texts .note").inner_text()
    assert [("cut" in one) for one in opened.locator(".texts li button").all_inner_texts()].count(True) == 1


@pytest.fixture
def corners(embedder):
    """A map of four texts in the corners of a square: two of the group "a" on the left, two of "b" on the right."""
    texts = ["the cat", "a dog", "the mat", EVIL]
    found = text_map(embedder.encoder, texts, labels=["a", "a", "b", "b"])
    return dataclasses.replace(found, plane=np.array([[-1.0, -1], [-1, 1], [1, -1], [1, 1]]))


def dot_places(opened):
    """The middle of each text's dot on the screen, by the text's number."""
    box = opened.locator(".plane").bounding_box()
    numbers = opened.locator(".plane text").all()
    at = "one => [Number(one.getAttribute('x')) - 10 + 1, Number(one.getAttribute('y')) + 6 + 1]"
    return {text.text_content(): np.add((box["x"], box["y"]), text.evaluate(at)) for text in numbers}


def next_frame(opened):
    opened.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_the_legend_names_the_groups_and_hides_shows_and_emphasises_them(show, corners):
    opened = show(html_of(corners))
    legend = opened.locator(".plane-legend")
    buttons = legend.locator("li button")
    assert [text.split() for text in buttons.all_inner_texts()] == [["a", "2"], ["b", "2"]]
    assert {PALETTE[0], PALETTE[1]} <= colors_shown(opened)
    buttons.nth(0).hover()
    next_frame(opened)
    assert PALETTE[0] in colors_shown(opened)
    assert PALETTE[1] not in colors_shown(opened), "the other group is pale"
    opened.mouse.move(0, 0)
    next_frame(opened)
    assert PALETTE[1] in colors_shown(opened)
    buttons.nth(0).press("Enter")
    next_frame(opened)
    assert buttons.nth(0).get_attribute("aria-pressed") == "false"
    assert PALETTE[0] not in colors_shown(opened)
    assert set(dot_places(opened)) == {"3", "4"}
    opened.locator(".plane").focus()
    opened.keyboard.press("ArrowLeft")
    assert opened.locator("#plane .readout").inner_text().startswith(("3", "4")), "a hidden text cannot be chosen"
    legend.get_by_role("button", name="Show all groups").click()
    next_frame(opened)
    assert {PALETTE[0], PALETTE[1]} <= colors_shown(opened)
    assert legend.get_by_role("button", name="Show all groups").is_hidden()


def test_the_legend_is_beside_the_plane_or_below_it(show, corners):
    for viewport, is_beside in ((WIDE, True), (PHONE, False)):
        opened = show(html_of(corners), viewport=viewport)
        plane, legend = (opened.locator(part).bounding_box() for part in (".plane", ".plane-legend"))
        assert (legend["x"] > plane["x"] + plane["width"]) == is_beside
        assert (legend["y"] > plane["y"] + plane["height"]) == (not is_beside)
        assert fits(opened)


def test_a_tooltip_shows_the_text_on_hover_focus_and_tap(show, corners):
    opened = show(html_of(corners))
    tip = opened.locator(".tip")
    assert tip.is_hidden()
    opened.locator(".plane").scroll_into_view_if_needed()
    opened.mouse.move(*dot_places(opened)["4"])
    assert tip.locator("p").inner_text() == f"4 {EVIL}"
    box, edge = tip.bounding_box(), opened.locator(".plane").bounding_box()
    assert edge["x"] <= box["x"]
    assert box["x"] + box["width"] <= edge["x"] + edge["width"]
    opened.mouse.move(0, 0)
    assert tip.is_hidden()
    opened.locator(".plane-legend li button").first.focus()
    opened.keyboard.press("Shift+Tab")
    assert opened.evaluate("document.activeElement.className") == "plane"
    assert tip.is_visible()
    opened.keyboard.press("Escape")
    assert tip.is_hidden()
    opened = show(html_of(corners), viewport=PHONE, touch=True)
    opened.locator(".plane").scroll_into_view_if_needed()
    opened.touchscreen.tap(*dot_places(opened)["1"])
    next_frame(opened)
    assert opened.locator(".tip").is_visible()
    assert opened.locator(".tip p").inner_text() == "1 the cat"


def turn_wheel(opened, pixels):
    """Turn the mouse wheel, and wait until the page has handled it. Playwright does not wait."""
    opened.evaluate("""() => { window.wheel = new Promise(done =>
        window.addEventListener('wheel', () => requestAnimationFrame(done), { once: true })); }""")
    opened.mouse.wheel(0, pixels)
    opened.evaluate("window.wheel")


def test_buttons_keys_wheel_and_drag_zoom_and_move_the_plane(show, corners):
    opened = show(html_of(corners), viewport={"width": 1280, "height": 3000})  # So that the wheel cannot scroll it.
    plane = opened.locator(".plane")
    start = dot_places(opened)

    def width():
        next_frame(opened)
        places = dot_places(opened)
        return places["3"][0] - places["1"][0]

    whole = width()
    opened.get_by_role("button", name="Zoom in").click()
    assert width() == pytest.approx(1.5 * whole, rel=1e-3)
    opened.get_by_role("button", name="Zoom out").click()
    assert width() == pytest.approx(whole, rel=1e-3)
    opened.mouse.move(*start["2"])
    turn_wheel(opened, -200)
    assert width() == pytest.approx(whole, rel=1e-3), "the wheel scrolls the page until the reader chooses the plane"
    opened.mouse.click(*start["2"])
    turn_wheel(opened, -100)
    assert width() > 1.1 * whole
    np.testing.assert_allclose(
        dot_places(opened)["2"], start["2"], atol=0.5, err_msg="the place under the pointer stays"
    )
    before = dot_places(opened)["2"]
    opened.mouse.down()
    opened.mouse.move(before[0] + 40, before[1] + 25, steps=4)
    opened.mouse.up()
    next_frame(opened)
    np.testing.assert_allclose(dot_places(opened)["2"], np.add(before, (40, 25)), atol=0.5)
    plane.press("0")
    assert width() == pytest.approx(whole, rel=1e-3)
    np.testing.assert_allclose(dot_places(opened)["2"], start["2"], atol=0.5)
    for _ in range(8):
        plane.press("+")
    plane.press("ArrowRight")
    box = plane.bounding_box()
    chosen = opened.locator("#plane .readout").inner_text().split()[0]
    place = dot_places(opened)[chosen]
    assert box["x"] <= place[0] <= box["x"] + box["width"], "a text that the keyboard chooses comes into view"
    opened.get_by_role("button", name="Show the whole plane").click()
    assert width() == pytest.approx(whole, rel=1e-3)


def test_two_fingers_zoom(show, corners):
    opened = show(html_of(corners), viewport=PHONE, touch=True)
    opened.locator(".plane").scroll_into_view_if_needed()
    start = dot_places(opened)
    opened.locator(".plane").evaluate("""plane => {
        const box = plane.getBoundingClientRect();
        const send = (type, id, x) => plane.dispatchEvent(new PointerEvent(type,
            { pointerId: id, pointerType: 'touch', bubbles: true, clientX: box.left + x, clientY: box.top + 100 }));
        send('pointerdown', 1, 100);
        send('pointerdown', 2, 200);
        send('pointermove', 2, 300);
        send('pointerup', 1, 100);
        send('pointerup', 2, 300);
    }""")
    next_frame(opened)
    places = dot_places(opened)
    assert places["3"][0] - places["1"][0] == pytest.approx(2 * (start["3"][0] - start["1"][0]), rel=1e-3)


def test_a_group_of_very_many_texts_lists_some_and_then_more(show, corners):
    n = 1500
    labels = tuple("a" if number < 450 else "b" for number in range(n))
    plane = np.random.default_rng(0).normal(size=(n, 2))
    texts = tuple(f"text {number}" for number in range(n))
    found = dataclasses.replace(corners, texts=texts, labels=labels, plane=plane, similarity=None)
    opened = show(html_of(found))
    group = opened.locator(".texts .group").first
    assert group.locator("li").count() == 40
    for name in ("Show 200 more of 410", "Show 200 more of 210", "Show 10 more of 10"):
        group.get_by_role("button", name=name).click()
    assert group.locator("li").count() == 450
    assert group.locator(".small").is_hidden()
