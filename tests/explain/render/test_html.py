from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
import json
import re
from html.parser import HTMLParser
from importlib import resources

import pytest

from pellucid import Embedder, Reranker, __version__
from pellucid.explain.render.html import page
from pellucid.explain.text_map import text_map
from tests import tiny

EVIL = (
    "</script x=''></script><!--<script ></script><script>alert(1)</script><img src=x onerror=alert(1)> "
    "{{script}} {{data}} \u2028 &lt; \ud83d\ude00"
)
PARTS = [part for part in resources.files("pellucid").joinpath("explain", "render", "page").iterdir() if part.is_file()]


class Elements(HTMLParser):
    """Every element of a page, with its attributes and the text in it."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict, list[str]]] = []
        self.inside = False
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs), []))
        self.inside = True

    def handle_endtag(self, _tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.found[-1][2].append(data)

    def of(self, tag: str) -> list[tuple[dict, str]]:
        return [(attributes, "".join(text)) for name, attributes, text in self.found if name == tag]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    folder = tiny.write_model(tmp_path_factory.mktemp("models") / "m", prompts={"query": "query: "})
    return Embedder(folder, on_truncation="ignore")


@pytest.fixture(scope="module")
def reranker(tmp_path_factory):
    return Reranker(tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "reranker"))


def data_of(content: str) -> dict:
    (text,) = [text for attributes, text in Elements(content).of("script") if attributes.get("id") == "data"]
    return json.loads(text)


def subjects(embedder, reranker):
    return (
        embedder.trace("the cat"),
        embedder.compare("the cat", "a dog"),
        text_map(embedder.encoder, ["the cat", "a dog"]),
        reranker.explain("the cat", "a dog"),
    )


def test_a_page_has_its_data_and_loads_nothing_else(embedder, reranker):
    for subject in subjects(embedder, reranker):
        content = page(subject)
        assert "{{" not in content
        assert f"Made by Pellucid {__version__}" in content
        for _, attributes, _ in Elements(content).found:
            for name in {"src", "href", "action", "srcset"} & attributes.keys():
                assert attributes[name].startswith(("data:", "#"))
        assert not re.findall(r"@import|url\((?!#)|\bfetch\(|XMLHttpRequest|WebSocket|sendBeacon|import\(", content)
    assert data_of(page(embedder.trace("the cat")))["prompt"] == "query: "


def test_the_policy_allows_only_the_scripts_and_styles_of_the_page(embedder, reranker):
    for subject in subjects(embedder, reranker):
        check_policy(Elements(page(subject)))


def check_policy(elements):
    (policy,) = [meta["content"] for meta, _ in elements.of("meta") if "http-equiv" in meta]
    allowed = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert allowed["default-src"] == allowed["base-uri"] == allowed["form-action"] == "'none'"
    assert set(allowed) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}

    def digests(texts):
        hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
        return " ".join(f"'sha256-{digest}'" for digest in hashes)

    scripts = [text for attributes, text in elements.of("script") if attributes.get("type") != "application/json"]
    assert allowed["script-src"] == digests(scripts)
    assert allowed["style-src"] == digests(text for _, text in elements.of("style"))


def test_html_in_a_text_a_prompt_or_a_name_stays_data(embedder, reranker):
    evil = EVIL.encode("utf-16", "surrogatepass").decode("utf-16")
    trace = dataclasses.replace(embedder.trace(evil, prompt=evil), model_name=evil)
    assert [tag for tag, *_ in Elements(page(trace)).found] == [
        tag for tag, *_ in Elements(page(embedder.trace("the cat"))).found
    ]
    raw = page(trace).split('id="data">')[1].split("</script>\n<script")[0]
    assert not set("<>&") & set(raw)
    data = data_of(page(trace))
    assert data["text"] == data["prompt"] == data["model"] == evil
    data = data_of(page(dataclasses.replace(embedder.compare(evil, evil), first=trace)))
    assert data["model"] == data["sides"][1]["text"] == evil
    score = dataclasses.replace(reranker.explain(evil, evil, prompt=evil), model_name=evil)
    raw = page(score).split('id="data">')[1].split("</script>\n<script")[0]
    assert not set("<>&") & set(raw)
    data = data_of(page(score))
    assert data["model"] == data["sides"][0]["prompt"] == data["sides"][0]["text"] == data["sides"][1]["text"] == evil


def test_the_parts_never_read_text_as_html():
    assert len(PARTS) > 10
    for part in PARTS:
        text = part.read_text(encoding="utf-8")
        assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
        assert "\r" not in text  # Browsers turn it into \n, and the policy's hashes would not match.


def luminance(color: str) -> float:
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """The contrast ratio of https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_meets_wcag_aa(theme):
    (style,) = [part.read_text(encoding="utf-8") for part in PARTS if part.name == "page.css"]
    block = style.split('[data-theme="dark"]')[theme == "dark"]
    colors = dict(re.findall(r"--(\w+): (#\w{6});", block.split("}")[0]))
    grounds = ("ground", "surface", "sunken")
    for text, ground in itertools.product(("ink", "soft", "accent", "warn"), grounds):
        assert contrast(colors[text], colors[ground]) >= 4.5, (text, ground)
    for text in ("ink", "soft"):
        assert contrast(colors[text], colors["wash"]) >= 4.5
    for ground in grounds:
        assert contrast(colors["edge"], colors[ground]) >= 3
    scale = [luminance(color) for color in re.findall(r"--sequential: (.*);", block)[0].split()]
    assert scale == sorted(scale, reverse=theme == "light"), "the colours of the scale must keep their order in grey"


def test_the_page_of_the_longest_text_that_minilm_reads_is_under_3_mb(minilm, golden_minilm):
    text = " ".join(golden_minilm.texts)
    content = page(minilm.trace(text))
    assert len(content) < 3_000_000
    data = data_of(content)
    assert len(data["tokens"]) == 256
    assert data["cut_count"] > 0
    assert (data["attention"]["heads"], len(data["attention"]["maps"])) == (12, 6)
    assert len(page(minilm.compare(text, text[::-1]))) < 3_000_000


def test_the_page_of_the_longest_text_that_mpnet_reads_says_what_is_left_out(mpnet, golden_mpnet):
    content = page(mpnet.trace(" ".join(golden_mpnet.texts)))
    assert len(content) < 3_000_000
    assert "12 layers have 12 heads each: 144 maps of 384" in data_of(content)["attention"]["note"]
