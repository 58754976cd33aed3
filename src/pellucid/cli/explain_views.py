"""Traces, comparisons and life cycles in the terminal.

A trace takes at most one screen for each stage, and one sentence says what happened there. In a narrow terminal words
are cut short, and numbers never are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pellucid.cli.terminal import escape_controls, source_name
from pellucid.errors import plural, printable
from pellucid.explain.comparison import Comparison
from pellucid.explain.lifecycle import Lifecycle
from pellucid.explain.sentence import pairs_without_marks
from pellucid.explain.shares import Float64
from pellucid.explain.stage_sentences import layers_sentence
from pellucid.explain.trace import Stage, Trace
from pellucid.explain.words import WordShares
from pellucid.types import Token

MAX_TOKENS = 14
"""A view shows at most this many tokens. Of a longer text, it shows the first and the last ones."""
_MIN_LAYERS, _MAX_LAYERS = 2, 6
_CONTEXT_NUMBER = len("0.00 █") + 3
_CONTEXT_WORDS = len("improves") + 3 + len("42% improves")
"""The columns of the terminal that a table of layers takes for a layer, and for words of ordinary length."""
_MAX_CHARACTERS = 200
_MAX_PAIRS = 8
_SHADES = " ░▒▓█"
_BAR_WIDTH = 24


def trace_views(trace: Trace, width: int = 80) -> Iterator[RenderableType]:
    """How one text becomes its vector: a renderable for each stage, for a terminal of ``width`` columns."""
    yield section("text", "", trace.stage("text").sentence, _text_details(trace))
    yield section("tokens", f"[{len(trace.tokens)}]", trace.stage("tokens").sentence, _token_table(trace))
    if trace.tokens:
        embedding = trace.stage("embedding")
        yield section("token vectors", _shape(embedding), embedding.sentence, _embedding_table(trace))
        if trace.layers:
            yield section("context", _shape(trace.layers[-1]), _context_sentence(trace), _context_table(trace, width))
    pooling = trace.stage("pooling")
    yield section("pooling", f"[{len(pooling.arrays['pooled'])}]", pooling.sentence, _shares(trace))
    yield section("vector", f"[{len(trace.vector)}]", _vector_sentence(trace), Text(_numbers(trace.vector, 8)))
    if trace.left_out:
        yield Text(trace.left_out, style="yellow")


def comparison_views(comparison: Comparison) -> Iterator[RenderableType]:
    """Why two texts are as close as they are: the cosine, and how much words and tokens contribute to it."""
    first, second = comparison.first, comparison.second
    title, said = f"cosine {comparison.cosine:.4f}", escape_controls(comparison.sentence)
    shares = comparison.word_shares
    if comparison.pairs is None or shares is None:
        sentence = (
            f"{said}\n\nThe cosine cannot be divided among pairs of tokens: {comparison.why_no_pairs}. "
            f"Instead, each token was left out in turn. The numbers show how much the cosine fell."
        )
        yield section(title, "", sentence, None)
    else:
        sentence = (
            f"{said}\n\nThe cosine is exactly the sum of {plural(comparison.pairs.size, 'number')}, one "
            f"for each pair of a token of the first text and a token of the second. Here they are summed over words."
        )
        yield section(title, "", sentence, _pair_table(comparison.cosine, shares))
    yield _share_table("the first text", first.tokens, comparison.first_shares)
    yield Text()
    yield _share_table("the second text", second.tokens, comparison.second_shares)


def lifecycle_views(lifecycle: Lifecycle) -> Iterator[RenderableType]:
    """What import, construction and the call cost, and which files were read."""
    phases = new_table("", "time", "memory", "modules", "connections", numbers=("time", "memory", "modules"))
    for phase in lifecycle.phases:
        hosts = ", ".join(phase.connections) or "none"
        growth = f"{phase.memory / 1e6:+.1f} MB"
        phases.add_row(
            cut_short(phase.name), f"{1000 * phase.seconds:,.1f} ms", growth, str(phase.modules), cut_short(hosts)
        )
    yield section("life cycle", "", "A new process embedded the text. This is what each step cost.", phases)
    files = new_table("file", "bytes", "SHA-256", "", numbers=("bytes", "SHA-256"))
    verdicts = {True: "as published", False: "NOT as published", None: ""}
    for file in lifecycle.files:
        files.add_row(
            cut_short(file.name), f"{file.size:,}", f"{file.sha256[:12]}…", cut_short(verdicts[file.official])
        )
    sentence = f"{lifecycle.model_name} was read from {lifecycle.folder} ({source_name(lifecycle.source)})."
    yield section("files", "", sentence, files)


def styled_piece(token: Token) -> Text:
    """A token's piece: dim if it is special, red if it is unknown, and with a mark before it if it continues a word."""
    style = {"special": "dim", "unknown": "bold red", "text": ""}[token.kind]
    piece = printable(token.piece)
    return cut_short(f"+{piece}" if token.continues and not piece.startswith("##") else piece, style)


def cut_short(text: str, style: str = "") -> Text:
    """Words for a table, which are cut short where there is no room for them."""
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def section(title: str, shape: str, sentence: str, body: RenderableType | None) -> RenderableType:
    """A title with the shape of the result, a sentence, and the body if there is one."""
    head = Text.assemble((title, "bold"), "  ", (shape, "cyan"))
    return Group(head, Text(sentence), *([Text(), body] if body is not None else []), Text())


def _shape(stage: Stage) -> str:
    tokens, size = stage.arrays["vectors"].shape
    return f"[{tokens} × {size}]"


def new_table(*columns: str, numbers: Sequence[str] = (), whole: Sequence[str] = ()) -> Table:
    """An empty table.

    Args:
        columns: the headings.
        numbers: those of columns with numbers. They are aligned to the right, and never cut short.
        whole: those of other columns that are never cut short.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
    for column in columns:
        # Rich takes room from the columns that may be wrapped, so the words say themselves that they may not.
        table.add_column(
            cut_short(column), justify="right" if column in numbers else "left", no_wrap=column in (*numbers, *whole)
        )
    return table


def _visible_tokens(count: int) -> list[int | None]:
    """The indices of the tokens to show. If some are left out, None stands for those in the middle."""
    if count <= MAX_TOKENS:
        return list(range(count))
    return [*range(MAX_TOKENS - 4), None, *range(count - 4, count)]


def _text_details(trace: Trace) -> RenderableType | None:
    """The prompt, and the text as the tokenizer normalized it; None if there is nothing to add to the text itself."""
    lines = []
    if trace.prompt:
        lines.append(Text.assemble(("after the model's prompt: ", "dim"), repr(trace.prompt)))
    if trace.normalized != trace.prompt + trace.text:
        normalized = printable(trace.normalized[:_MAX_CHARACTERS])
        ellipsis = "…" if len(trace.normalized) > _MAX_CHARACTERS else ""
        lines.append(Text.assemble(("normalized to: ", "dim"), normalized + ellipsis))
    return Group(*lines) if lines else None


def _token_table(trace: Trace) -> RenderableType:
    """The tokens: their pieces, their ids, and the characters that they come from."""
    joined = trace.prompt + trace.text
    table = new_table("#", "token", "id", "from", "", numbers=("#", "id"))
    notes = {"special": "added by the model", "unknown": "not in the vocabulary", "text": ""}
    for index in _visible_tokens(len(trace.tokens)):
        if index is None:
            table.add_row("…", cut_short(f"{len(trace.tokens) - MAX_TOKENS} more"), "", "", "")
            continue
        token = trace.tokens[index]
        source = cut_short(repr(joined[token.start : token.end]) if token.end > token.start else "")
        note = "continues the word" if token.continues else notes[token.kind]
        table.add_row(str(index), styled_piece(token), str(token.id), source, cut_short(note, "dim"))
    if not trace.cut:
        return table
    start, end = trace.cut[0].start, trace.cut[-1].end
    return Group(
        table, Text(f"cut off: {plural(len(trace.cut), 'token')}, characters {start:,} to {end:,}", style="yellow")
    )


def _embedding_table(trace: Trace) -> RenderableType:
    """The first numbers of each token's looked-up vector."""
    table = new_table("token", "its numbers", whole=("its numbers",))
    vectors = trace.stage("embedding").arrays["vectors"]
    for index in _visible_tokens(len(trace.tokens)):
        if index is None:
            table.add_row("…", "")
        else:
            table.add_row(styled_piece(trace.tokens[index]), _numbers(vectors[index], 5))
    return table


def _context_sentence(trace: Trace) -> str:
    layers = layers_sentence([layer.sentence for layer in trace.layers])
    return (
        f"{layers} Below: each token's distance from its looked-up vector (0 is none, 1 is a right angle), and "
        f"what it looks at most in the last layer."
    )


def _context_table(trace: Trace, width: int) -> RenderableType:
    """How far each token has moved after some of the layers, and the token that it looks at most in the last."""
    drift = trace.drift()
    room = (width - _CONTEXT_WORDS) // _CONTEXT_NUMBER
    count = min(max(room, _MIN_LAYERS), _MAX_LAYERS, len(drift))
    layers = sorted({round(layer) for layer in np.linspace(0, len(drift) - 1, count)})
    headers = [str(layer + 1) for layer in layers]
    table = new_table("token", *headers, "looks at", numbers=headers)
    attention = trace.layers[-1].arrays.get("attention")
    mean_attention = None if attention is None else attention.mean(axis=0)
    for index in _visible_tokens(len(trace.tokens)):
        if index is None:
            table.add_row("…")
            continue
        distances = [_shaded(drift[layer, index]) for layer in layers]
        target = cut_short("left out", "dim")
        if mean_attention is not None:
            strongest = int(mean_attention[index].argmax())
            target = cut_short("")
            target.append(f"{mean_attention[index, strongest]:.0%} ", style="dim")
            target.append_text(styled_piece(trace.tokens[strongest]))
        table.add_row(styled_piece(trace.tokens[index]), *distances, target)
    return table


def _shares(trace: Trace) -> RenderableType:
    """Each token's share of the vector, or the reason why there are no shares."""
    if trace.shares is None:
        return Text(f"The vector cannot be divided among the tokens: {trace.why_no_shares}.")
    return _share_table("of the vector", trace.tokens, trace.shares)


def _share_table(whole: str, tokens: Sequence[Token], values: Float64) -> RenderableType:
    """A number and a bar for each token; negative bars are red."""
    table = new_table("token", "share", whole, numbers=("share",), whole=(whole,))
    largest = max(float(np.abs(values).max(initial=0)), 1e-12)
    for index in _visible_tokens(len(tokens)):
        if index is None:
            table.add_row("…")
            continue
        value = float(values[index])
        bar = "█" * round(_BAR_WIDTH * abs(value) / largest)
        table.add_row(styled_piece(tokens[index]), f"{value:+.3f}", Text(bar, style="red" if value < 0 else "cyan"))
    return table


def _pair_table(cosine: float, shares: WordShares) -> RenderableType:
    """The pairs of words that add most to the cosine, and what the rest adds."""
    table = new_table("word", "word", "adds", numbers=("adds",))
    rest = cosine - shares.frame
    for first, second, share in pairs_without_marks(shares, _MAX_PAIRS):
        table.add_row(cut_short(printable(first)), cut_short(printable(second)), f"{share:+.4f}")
        rest -= share
    table.add_row(cut_short("all other pairs", "dim"), "", f"{round(rest, 4) + 0.0:+.4f}")  # No minus zero.
    table.add_row(cut_short("frame", "dim"), "", f"{shares.frame:+.4f}")
    return table


def _vector_sentence(trace: Trace) -> str:
    normalize = [stage for stage in trace.stages if stage.name == "normalize"]
    return " ".join(stage.sentence for stage in (*normalize, trace.stages[-1]))


def _shaded(value: float) -> Text:
    """A number from 0 to 1, followed by a block that is darker for larger numbers."""
    return Text(f"{value:.2f} {_SHADES[min(len(_SHADES) - 1, int(max(0.0, value) * len(_SHADES)))]}")


def _numbers(vector: np.ndarray[tuple[int], np.dtype[np.float32]], count: int) -> str:
    """The first ``count`` numbers of a vector."""
    numbers = ", ".join(f"{number:+.4f}" for number in vector[:count])
    return f"{numbers}, …" if len(vector) > count else numbers
