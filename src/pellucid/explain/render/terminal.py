"""A trace and a comparison in the terminal: a screen a stage at most, each with one sentence of what happened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pellucid.errors import printable
from pellucid.explain.comparison import Comparison
from pellucid.explain.lifecycle import Lifecycle
from pellucid.explain.shares import Float64
from pellucid.explain.trace import Stage, Trace
from pellucid.types import Token

TOKENS = 14
"""How many tokens are shown; of a longer text, the first and the last."""
_LAYERS = 6
_CHARACTERS = 200
_SHADES = " ░▒▓█"
_BAR = 24


def views(trace: Trace) -> Iterator[RenderableType]:
    """The walk of one text, a renderable for each of its stages."""
    yield _titled("text", "", trace.stage("text").sentence, _text(trace))
    yield _titled("tokens", f"[{len(trace.tokens)}]", trace.stage("tokens").sentence, _tokens(trace))
    if trace.tokens:
        embedding = trace.stage("embedding")
        yield _titled("token vectors", _shape(embedding), embedding.sentence, _lookups(trace))
        yield _titled("context", _shape(trace.layers[-1]), _context_sentence(trace), _context(trace))
    pooling = trace.stage("pooling")
    yield _titled("pooling", f"[{len(pooling.arrays['pooled'])}]", pooling.sentence, _shares(trace))
    yield _titled("vector", f"[{len(trace.vector)}]", _vector_sentence(trace), Text(_numbers(trace.vector, 8)))
    if trace.left_out:
        yield Text(trace.left_out, style="yellow")


def comparison_views(comparison: Comparison) -> Iterator[RenderableType]:
    """Why two texts are as close as they are."""
    first, second = comparison.first, comparison.second
    if comparison.pairs is None:
        sentence = (
            f"The vectors are no sums of their tokens' parts: {comparison.why_no_pairs}. So each token was left out in "
            f"turn. Here is by how much the cosine fell."
        )
        yield _titled(f"cosine {comparison.cosine:.4f}", "", sentence, None)
    else:
        count = comparison.pairs.size
        sentence = f"It is the sum of {count:,} numbers, one for each pair of a token here and a token there."
        yield _titled(f"cosine {comparison.cosine:.4f}", "", sentence, _pairs(comparison))
    yield _bars("the first text", first.tokens, comparison.first_shares)
    yield _bars("the second text", second.tokens, comparison.second_shares)


def lifecycle_views(life: Lifecycle) -> Iterator[RenderableType]:
    """What import, construction and the call each did."""
    table = _table("", "time", "memory", "modules", "connections", right=("time", "memory", "modules"))
    for phase in life.phases:
        hosts = ", ".join(phase.connections) or "none"
        grown = f"{phase.memory / 1e6:+.1f} MB"
        table.add_row(phase.name, f"{1000 * phase.seconds:,.1f} ms", grown, str(phase.modules), hosts)
    yield _titled("life cycle", "", "What a new process did to embed the text, and what each step cost here.", table)
    files = _table("file", "bytes", "SHA-256", "", right=("bytes",))
    words = {True: "as the source says", False: "NOT what the source says", None: ""}
    for file in life.files:
        files.add_row(file.name, f"{file.size:,}", f"{file.sha256[:12]}…", words[file.official])
    yield _titled("files", "", f"{life.model_name} was read from {life.folder} ({life.source}).", files)


def piece(token: Token) -> Text:
    """A token as it is shown: special ones dim, unknown ones red, pieces that go on with a word with a mark before."""
    style = {"special": "dim", "unknown": "bold red", "text": ""}[token.kind]
    shown = printable(token.piece)
    return Text(f"+{shown}" if token.continues and not shown.startswith("##") else shown, style=style)


def _titled(title: str, shape: str, sentence: str, body: RenderableType | None) -> RenderableType:
    head = Text.assemble((title, "bold"), "  ", (shape, "cyan"))
    return Group(head, Text(sentence), *([Text(), body] if body is not None else []), Text())


def _shape(stage: Stage) -> str:
    tokens, size = stage.arrays["vectors"].shape
    return f"[{tokens} × {size}]"


def _table(*columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    return table


def _shown(count: int) -> list[int | None]:
    """The places to show: all, or the first and the last, with None for those between."""
    if count <= TOKENS:
        return list(range(count))
    return [*range(TOKENS - 4), None, *range(count - 4, count)]


def _text(trace: Trace) -> RenderableType | None:
    lines = []
    if trace.prompt:
        lines.append(Text.assemble(("before it, the model's prompt: ", "dim"), repr(trace.prompt)))
    if trace.normalized != trace.prompt + trace.text:
        shown = printable(trace.normalized[:_CHARACTERS]) + ("…" if len(trace.normalized) > _CHARACTERS else "")
        lines.append(Text.assemble(("made into: ", "dim"), shown))
    return Group(*lines) if lines else None


def _tokens(trace: Trace) -> RenderableType:
    joined = trace.prompt + trace.text
    table = _table("", "token", "id", "from", "", right=("", "id"))
    notes = {"special": "added by the model", "unknown": "not in the vocabulary", "text": ""}
    for place in _shown(len(trace.tokens)):
        if place is None:
            table.add_row("…", f"{len(trace.tokens) - TOKENS} more", "", "", "")
            continue
        token = trace.tokens[place]
        source = Text(repr(joined[token.start : token.end]) if token.end > token.start else "")
        note = "goes on with the word" if token.continues else notes[token.kind]
        table.add_row(str(place), piece(token), str(token.id), source, Text(note, style="dim"))
    if not trace.cut:
        return table
    start, end = trace.cut[0].start, trace.cut[-1].end
    return Group(table, Text(f"cut off: {len(trace.cut):,} tokens, characters {start:,} to {end:,}", style="yellow"))


def _lookups(trace: Trace) -> RenderableType:
    table = _table("token", "its numbers")
    vectors = trace.stage("embedding").arrays["vectors"]
    for place in _shown(len(trace.tokens)):
        if place is None:
            table.add_row("…", "")
        else:
            table.add_row(piece(trace.tokens[place]), _numbers(vectors[place], 5))
    return table


def _context_sentence(trace: Trace) -> str:
    layers = len(trace.layers)
    return (
        f"{trace.layers[0].sentence} {layers} layers do so one after the other. Below: how far each token has moved "
        f"from its looked-up vector (0 not at all, 1 to a right angle), and what it looked at most in the last."
    )


def _context(trace: Trace) -> RenderableType:
    drift = trace.drift()
    layers = sorted({round(layer) for layer in np.linspace(0, len(drift) - 1, min(_LAYERS, len(drift)))})
    headers = [str(layer + 1) for layer in layers]
    table = _table("token", *headers, "looks most at", right=headers)
    attention = trace.layers[-1].arrays.get("attention")
    looks = None if attention is None else attention.mean(axis=0)
    for place in _shown(len(trace.tokens)):
        if place is None:
            table.add_row("…")
            continue
        moved = [_shaded(drift[layer, place]) for layer in layers]
        most = Text("left out", style="dim")
        if looks is not None:
            target = int(looks[place].argmax())
            most = piece(trace.tokens[target]).append(f" {looks[place, target]:.0%}", style="dim")
        table.add_row(piece(trace.tokens[place]), *moved, most)
    return table


def _shares(trace: Trace) -> RenderableType:
    if trace.shares is None:
        return Text(f"No shares can be given: {trace.why_no_shares}.")
    return _bars("of it", trace.tokens, trace.shares)


def _bars(whose: str, tokens: Sequence[Token], values: Float64) -> RenderableType:
    table = _table("token", "share", whose, right=("share",))
    largest = max(float(np.abs(values).max(initial=0)), 1e-12)
    for place in _shown(len(tokens)):
        if place is None:
            table.add_row("…")
            continue
        value = float(values[place])
        bar = "█" * round(_BAR * abs(value) / largest)
        table.add_row(piece(tokens[place]), f"{value:+.3f}", Text(bar, style="red" if value < 0 else "cyan"))
    return table


def _pairs(comparison: Comparison) -> RenderableType:
    table = _table("token", "token", "adds", right=("adds",))
    for i, j, share in comparison.top(8):
        table.add_row(piece(comparison.first.tokens[i]), piece(comparison.second.tokens[j]), f"{share:+.4f}")
    return table


def _vector_sentence(trace: Trace) -> str:
    normalize = [stage for stage in trace.stages if stage.name == "normalize"]
    return " ".join(stage.sentence for stage in (*normalize, trace.stages[-1]))


def _shaded(value: float) -> Text:
    """A number from 0 to 1, on a shade of grey that goes with it."""
    return Text(f"{value:.2f} {_SHADES[min(len(_SHADES) - 1, int(max(0.0, value) * len(_SHADES)))]}")


def _numbers(vector: np.ndarray[tuple[int], np.dtype[np.float32]], count: int) -> str:
    shown = ", ".join(f"{number:+.4f}" for number in vector[:count])
    return f"{shown}, …" if len(vector) > count else shown
