"""Pictures that a page saves, in a browser. ``make test-browser`` runs these tests."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from pellucid.explain.render.html import page as html_of
from pellucid.explain.text_map import text_map
from tests import browser as browsers
from tests.browser import EVIL
from tests.tiny_families import LAYERS

pytestmark = browsers.needed()

SVG = "{http://www.w3.org/2000/svg}"
NASTY = f"{EVIL} \x00\x1b\ufffe & ]]> \ud800 猫"


def saved(opened, part, kind):
    with opened.expect_download() as started:
        opened.locator(part).get_by_role("button", name=f"as {kind}").first.click()
    return started.value.suggested_filename, Path(started.value.path())


def elements_of(path, tag=None):
    return list(ElementTree.parse(path).iter(tag and f"{SVG}{tag}"))  # noqa: S314 The page made it.


def texts_of(path):
    return [element.text for element in elements_of(path, "text")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pairs_attention_and_maps_are_saved_as_svg_and_png(show, embedder, scheme):
    comparison = embedder.compare("the cat sat", "a dog")
    subjects = [
        (comparison, "#pairs", "pairs-of-tokens", f"cosine {comparison.cosine:.4f}"),
        (embedder.trace("the cat sat"), "#context", f"attention-layer-{LAYERS}-mean", "Attention in layer"),
        (text_map(embedder.encoder, ["the cat", "a dog"]), "#plane", "map-of-2-texts", "2 texts · m"),
        (text_map(embedder.encoder, ["the cat", "a dog"]), "#similarity", "similarity-of-2-texts", "The similarity of"),
    ]
    for subject, part, name, title in subjects:
        opened = show(html_of(subject), scheme=scheme)
        file, path = saved(opened, part, "SVG")
        assert file == f"{name}.svg"
        assert any(text.startswith(title) for text in texts_of(path))
        tags = {element.tag.removeprefix(SVG) for element in elements_of(path)}
        assert tags <= {"svg", "g", "rect", "text", "path", "defs", "linearGradient", "stop"}
        ground = elements_of(path, "rect")[0]
        assert ground.attrib == {"width": "100%", "height": "100%", "fill": "#ffffff"}, "paper is white in any theme"
        file, path = saved(opened, part, "PNG")
        assert file == f"{name}.png"
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", content[16:24])
        assert width >= 1000
        assert height >= 500


def test_a_picture_has_its_labels_and_numbers(show, embedder):
    comparison = embedder.compare("the cat", "dog")
    _, path = saved(show(html_of(comparison)), "#pairs", "SVG")
    texts = texts_of(path)
    assert {"the", "cat", "dog", "frame", "“the cat” and “dog”"} <= set(texts)
    for i, j in ((1, 1), (2, 1)):
        assert f"{comparison.pairs[i, j]:.4f}" in texts or f"{comparison.pairs[i, j]:.3f}" in texts


def test_hostile_texts_make_valid_xml(show, embedder):
    texts = [NASTY, "the cat", "a dog"]
    text = NASTY.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    subjects = [
        (embedder.compare(text, "x" * 10_000), "#pairs"),
        (text_map(embedder.encoder, [text, *texts[1:]], labels=[text, "<b>", "&"]), "#plane"),
        (text_map(embedder.encoder, [text, *texts[1:]]), "#similarity"),
    ]
    for subject, part in subjects:
        opened = show(html_of(subject))
        _, path = saved(opened, part, "SVG")
        assert all(element.tag != f"{SVG}script" for element in elements_of(path))
        assert any("</script" in (text or "") for text in texts_of(path))
        saved(opened, part, "PNG")


def test_the_plane_is_saved_as_it_is_shown(show, embedder):
    found = text_map(embedder.encoder, ["the cat", "a dog", "the mat"], labels=["a", "a", "b"])
    found = dataclasses.replace(found, plane=np.array([[0.0, 0], [1, 0], [0, 1]]))
    opened = show(html_of(found))
    _, path = saved(opened, "#plane", "SVG")
    texts = texts_of(path)
    assert {"a (2)", "b (1)", "3  the mat"} <= set(texts)
    opened.locator(".plane-legend li button").nth(1).click()
    _, path = saved(opened, "#plane", "SVG")
    assert {"b (1)", "3  the mat"} & set(texts_of(path)) == set()


def test_a_map_of_very_many_cells_is_an_image_in_the_picture(show, embedder):
    opened = show(html_of(text_map(embedder.encoder, ["the cat", "a dog", "dog"] * 60)))
    _, path = saved(opened, "#similarity", "SVG")
    (image,) = elements_of(path, "image")
    assert image.attrib["href"].startswith("data:image/png;base64,")
    saved(opened, "#similarity", "PNG")
