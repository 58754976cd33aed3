from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from pellucid import Embedder
from pellucid.cli import explain_views
from pellucid.explain.words import word_pairs
from tests import tiny


def shown(views, width=80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for view in views:
        console.print(view)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return Embedder(tiny.write_model(tmp_path_factory.mktemp("models") / "m"), on_truncation="ignore")


def test_a_trace_shows_every_stage_and_its_shape(embedder):
    text = shown(explain_views.trace_views(embedder.trace("The matting \U0001f600")))
    titles = ["text  ", "tokens  [7]", "token vectors  [7 × 16]", "context  [7 × 16]", "pooling  [16]", "vector  [16]"]
    places = [text.index(f"{title}\n") for title in titles]
    assert places == sorted(places)
    assert "'The'" in text
    assert "continues the word" in text
    assert "not in the vocabulary" in text
    assert "normalized to: the matting" in text


def test_a_long_text_shows_its_first_and_last_tokens_and_what_was_cut(embedder):
    text = shown(explain_views.trace_views(embedder.trace("cat " * 100)))
    assert f"{tiny.MAX_TOKENS - explain_views.MAX_TOKENS} more" in text
    assert f"cut off: {100 - tiny.MAX_TOKENS + 2} tokens" in text


def test_each_view_fits_a_screen_of_80_columns(embedder):
    for view in explain_views.trace_views(embedder.trace("cat dog mat " * 30)):
        lines = shown([view]).splitlines()
        assert len(lines) <= 24
        assert max(len(line) for line in lines) <= 80


@pytest.mark.parametrize("width", [50, 60, 80, 160])
def test_in_a_narrow_terminal_words_are_cut_short_and_numbers_are_not(embedder, width):
    trace = embedder.trace("the matting \U0001f600 the dogmatting")
    views = [
        *explain_views.trace_views(trace, width),
        *explain_views.comparison_views(embedder.compare("matting", "a")),
    ]
    text = shown(views, width)
    assert max(map(len, text.splitlines())) <= width
    assert not re.search(r"[\d.%]…", text)
    for token in trace.tokens:
        assert re.search(rf"\b{token.id}\b", text)
    for share in trace.shares.tolist():
        assert f"{share:+.3f}" in text
    drift = trace.drift()
    assert all(f" {distance:.2f}" in text for distance in [*drift[0], *drift[-1]])
    assert ("…" in text.replace(", …", "")) == (width < 60)


def test_a_comparison_shows_pairs_and_both_sides(embedder):
    comparison = embedder.compare("the cat sat", "a dog")
    text = shown(explain_views.comparison_views(comparison))
    assert f"cosine {comparison.cosine:.4f}" in text
    first, second, share = word_pairs(comparison, 1)[0]
    line = next(line for line in text.splitlines() if f"{share:+.4f}" in line)
    assert first in line
    assert second in line
    sums = re.findall(r"(?m)^(?:the|cat|sat|all other words|frame).* ([+-]0\.\d{4})\s*$", text)
    assert sum(map(float, sums)) == pytest.approx(comparison.cosine, abs=1e-3)
    assert "the first text" in text
    assert "the second text" in text


def test_without_pairs_the_reason_is_given(tmp_path):
    embedder = Embedder(tiny.write_model(tmp_path / "m", pooling={"pooling_mode_cls_token": True}, modules=["Pooling"]))
    text = " ".join(shown(explain_views.comparison_views(embedder.compare("the cat", "a dog"))).split())
    assert "cls pooling uses only the first token's vector" in text
    assert "each token was left out in turn" in text
    assert "The vector cannot be divided among the tokens" in shown(
        explain_views.trace_views(embedder.trace("the cat"))
    )


def test_markup_in_a_text_is_shown_as_text(tmp_path):
    folder = tiny.write_model(tmp_path / "m", prompts={"query": "[bold]"})
    assert "'[bold]'" in shown(explain_views.trace_views(Embedder(folder).trace("[red]cat[/red]")))
    assert "[red]cat[/red]" in shown(explain_views.trace_views(Embedder(folder).trace("[red]CAT[/red]")))


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\rb\x07", "\u202eevil", "\x9b31m"])
def test_a_text_cannot_control_the_terminal(tmp_path, text):
    """Byte-level tokenizers write every byte as a letter, so the pieces are harmless. The normalized text is not."""
    folder = tiny.write_model(tmp_path / "m", "modernbert")
    embedder = Embedder(folder)
    written = shown(explain_views.trace_views(embedder.trace(text, prompt=text)))
    written += shown(explain_views.comparison_views(embedder.compare(text, f"{text} a")))
    assert all(character.isprintable() or character == "\n" for character in written)
