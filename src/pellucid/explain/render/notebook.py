"""What ``explain`` makes, at the end of a notebook's cell: a small picture, with no script and no frame.

Notebooks show HTML in many ways: light and dark, with scripts or without, and on GitHub without styles. So colours are
half transparent and text has the notebook's own colour. Each number that matters is text, which stays readable where
styles and pictures are dropped. Styles are inline, because a notebook's cells share one page.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from pellucid.errors import JOINER, plural, printable
from pellucid.explain.alignment import Alignment
from pellucid.explain.comparison import Comparison
from pellucid.explain.pair import PairText
from pellucid.explain.render.contents import Subject
from pellucid.explain.score import ExplainedScore
from pellucid.explain.score_sentence import cut_notes
from pellucid.explain.sentence import pairs_without_marks
from pellucid.explain.shares import Float64
from pellucid.explain.sparse import ExplainedSparseScore
from pellucid.explain.stage_sentences import NO_CONTEXT
from pellucid.explain.text_map import PALETTE, TextMap
from pellucid.explain.trace import Trace
from pellucid.explain.words import Word, WordShares
from pellucid.types import Int64, Token

MAX_TOKENS = 40
"""A trace shows at most this many tokens."""
MAX_WORDS = 10
"""A comparison shows at most this many words of each text."""
MAX_PAIRS = 6
MAX_PASSAGE_WORDS = 150
"""A score shows at most this many words of each text."""
MAX_MATCHES = 8
"""A score of sparse vectors shows at most this many terms."""
MAX_ROWS = 16
"""An alignment shows at most this many tokens of the query."""
MAX_COLUMNS = 10
"""An alignment shows at most this many tokens of the document."""
MAX_DOTS = 200
"""A map shows at most this many texts."""
MAX_LABELS = 8
_MAX_TEXT_CHARACTERS = 100
_MAX_SENTENCE_CHARACTERS = 500
_MAX_WORD_CHARACTERS = 14
_MAX_EXAMPLE_CHARACTERS = 60
_EXAMPLES = 2
_NUMBERS = 6
_PLANE_WIDTH, _PLANE_HEIGHT, _DOT = 380, 250, 5
_MAX_OPACITY = 0.7
"""Text on a colour of this opacity is readable on light and on dark grounds."""
_POSITIVE, _NEGATIVE = "40,150,190", "215,105,35"
_FAINT = "opacity:.7"
_ROW = "background:none"
_CELL = "padding:1px 6px;border:0;text-align:center;white-space:nowrap"
_TABLE = "border-collapse:collapse;border:0;margin:0;width:auto;table-layout:auto;font-size:12px;line-height:1.5"


def fragment(subject: Subject) -> str:
    """A piece of HTML to show a subject in a notebook."""
    if isinstance(subject, Trace):
        name, parts = "trace", _trace_parts(subject)
    elif isinstance(subject, Comparison):
        name, parts = "comparison", _comparison_parts(subject)
    elif isinstance(subject, ExplainedScore):
        name, parts = "score", _score_parts(subject)
    elif isinstance(subject, ExplainedSparseScore):
        name, parts = "score", _sparse_parts(subject)
    elif isinstance(subject, Alignment):
        name, parts = "alignment", _alignment_parts(subject)
    else:
        name, parts = "map", _map_parts(subject)
    parts.append(_small(f"<code>save_html(&quot;{name}.html&quot;)</code> writes a page with all of it."))
    return f'<div style="font-size:13px;line-height:1.5;max-width:920px">{"".join(parts)}</div>'


def _trace_parts(trace: Trace) -> list[str]:
    """A text's tokens with their shares, how far they moved in each layer, and the first numbers of the vector."""
    count = plural(len(trace.tokens), "token")
    prompt = f", after the prompt {_quote(trace.prompt)}" if trace.prompt else ""
    parts = [_title(_quote(trace.text), f"{count}{prompt}, {_escape(trace.model_name)}")]
    parts.append(_chips(trace.tokens[:MAX_TOKENS], trace.shares, "{:.1%}"))
    notes = []
    if len(trace.tokens) > MAX_TOKENS:
        notes.append(f"{plural(len(trace.tokens) - MAX_TOKENS, 'more token')} not shown here.")
    if trace.cut:
        notes.append(f"The text was too long: the model read {count} of it.")
    if trace.shares is None:
        notes.append(f"The vector cannot be divided among the tokens: {_escape(trace.why_no_shares or '')}.")
    else:
        notes.append("Below each token: its share of the vector.")
    parts.append(_small(" ".join(notes)))
    if not trace.layers:
        parts.append(f"<div>{NO_CONTEXT}</div>")
    elif trace.tokens:
        means = trace.drift().mean(axis=1)
        parts.append(
            f"<div>How far the tokens move from their looked-up vectors, layer by layer (1 − cosine): "
            f"{_sparkline(means)} {means[0]:.2f} after layer 1, {means[-1]:.2f} after layer {len(means)}</div>"
        )
    numbers = ", ".join(f"{number:+.4f}" for number in trace.vector[:_NUMBERS].tolist())
    more = ", …" if len(trace.vector) > _NUMBERS else ""
    parts.append(f"<div>The vector, {len(trace.vector):,} numbers: <code>[{numbers}{more}]</code></div>")
    return parts


def _comparison_parts(comparison: Comparison) -> list[str]:
    """The cosine, the sentence about it, and the words that make it."""
    first, second = comparison.first, comparison.second
    parts = [_title(f"cosine {comparison.cosine:.4f}", f"{_quote(first.text)} and {_quote(second.text)}")]
    parts.append(f"<div>{_escape(comparison.sentence, _MAX_SENTENCE_CHARACTERS)}</div>")
    shares = comparison.word_shares
    if shares is None:
        parts.append(_small("Below each token: how much the cosine falls without it."))
        for side, falls in ((first, comparison.first_shares), (second, comparison.second_shares)):
            parts.append(_chips(side.tokens[:MAX_TOKENS], falls, "{:+.3f}"))
        longest = max(len(first.tokens), len(second.tokens))
        if longest > MAX_TOKENS:
            parts.append(_small(f"Only the first {MAX_TOKENS} tokens of a text are shown here."))
        return parts
    rows, columns = (_heaviest(shares.shares.max(axis=axis, initial=0)) for axis in (1, 0))
    if len(rows) and len(columns):
        heatmap = _heatmap(
            [shares.first[row] for row in rows],
            [shares.second[column] for column in columns],
            shares.shares[np.ix_(rows, columns)],
        )
        side_by_side = "display:flex;flex-wrap:wrap;gap:8px 28px;align-items:flex-start;margin:6px 0;overflow-x:auto"
        parts.append(f'<div style="{side_by_side}">{heatmap}{_pair_table(shares)}</div>')
    note = "Each number is what a pair of words adds to the cosine."
    if len(rows) < len(shares.first) or len(columns) < len(shares.second):
        note += f" Of each text, the {MAX_WORDS} words whose best pair adds most are shown."
    parts.append(_small(note))
    return parts


def _score_parts(explained: ExplainedScore) -> list[str]:
    """The score, the sentence about it, and both texts with coloured words."""
    parts = [_title(f"score {explained.score:.4f}", f"logit {explained.logit:+.3f}, {_escape(explained.model_name)}")]
    parts.append(f"<div>{_escape(explained.sentence, _MAX_SENTENCE_CHARACTERS)}</div>")
    sides = (
        ("query", explained.query, explained.query_changes.words),
        ("document", explained.document, explained.document_changes.words),
    )
    largest = max(1e-12, *(float(np.abs(words).max(initial=0)) for _, _, words in sides if words is not None), 0.0)
    for name, text, changes in sides:
        parts.append(_small(f"The {name}{f', after the prompt {_quote(text.prompt)}' if text.prompt else ''}"))
        parts.append(_passage(text, changes, largest))
    note = (
        "The colour of a word shows what the logit changes because of it. Each number is exact; they do not add up to "
        "the score."
    )
    parts += [_small(_escape(each, _MAX_SENTENCE_CHARACTERS)) for each in cut_notes(explained)]
    parts.append(_small(f"{note} {_escape(explained.left_out, _MAX_SENTENCE_CHARACTERS)}".strip()))
    return parts


def _sparse_parts(explained: ExplainedSparseScore) -> list[str]:
    """The score, the sentence about it, and the terms that add most."""
    query, document = explained.query, explained.document
    parts = [_title(f"score {explained.score:.4f}", f"{_quote(query.text)} and {_quote(document.text)}")]
    parts.append(f"<div>{_escape(explained.sentence, _MAX_SENTENCE_CHARACTERS)}</div>")
    if not explained.matches:
        return parts
    left = _CELL.replace("center", "left")
    names = ("term", "adds", "query", "document", "query word", "document word")
    heads = "".join(f'<td style="{_CELL};{_FAINT}">{name}</td>' for name in names)
    lines = [f'<tr style="{_ROW}">{heads}</tr>']
    for match in explained.matches[:MAX_MATCHES]:
        shade = f"background:{_shade(match.product / explained.matches[0].product)};border-radius:3px"
        cells = [
            f'<td style="{left}">{_word(match.piece)}</td>',
            f'<td style="{_CELL};{shade}">{match.product:.4f}</td>',
            f'<td style="{_CELL}">{match.in_query.weight:.2f}</td>',
            f'<td style="{_CELL}">{match.in_document.weight:.2f}</td>',
            f'<td style="{left}">{_word(query.words(match.in_query))}</td>',
            f'<td style="{left}">{_word(document.words(match.in_document))}</td>',
        ]
        lines.append(f'<tr style="{_ROW}">{"".join(cells)}</tr>')
    parts.append(f'<div style="overflow-x:auto;margin:6px 0"><table style="{_TABLE}">{"".join(lines)}</table></div>')
    rest = explained.matches[MAX_MATCHES:]
    total = sum(match.product for match in rest)
    more = f" Not shown: {plural(len(rest), 'term')} that together add {total:.4f}." if rest else ""
    parts.append(_small(f"Each term adds the product of its two weights. They add up to the score.{more}"))
    return parts


def _alignment_parts(alignment: Alignment) -> list[str]:
    """The score, the sentence about it, and what each token of the query found."""
    query, document = alignment.query, alignment.document
    parts = [_title(f"score {alignment.score:.4f}", f"{_quote(query.text)} and {_quote(document.text)}")]
    parts.append(f"<div>{_escape(alignment.sentence, _MAX_SENTENCE_CHARACTERS)}</div>")
    if not len(alignment.matches):
        return parts
    count = min(MAX_ROWS, len(query.tokens))
    found = np.unique(alignment.matches[:count])
    strongest = np.argsort(-alignment.document_parts[found], kind="stable")[:MAX_COLUMNS]
    columns = found[np.sort(strongest)].tolist()
    largest = max(float(np.abs(alignment.parts[:count]).max()), 1e-12)
    right = _CELL.replace("center", "right")
    heads = [
        f'<th style="{_CELL};font-weight:normal">{_word(document.tokens[column].piece)}</th>' for column in columns
    ]
    names = f'<td style="{right};{_FAINT}">found</td>', f'<td style="{_CELL};{_FAINT}">adds</td>'
    lines = [f'<tr style="{_ROW}">{names[0]}{"".join(heads)}{names[1]}</tr>']
    for row in range(count):
        piece = _word(query.tokens[row].piece)
        cells = [
            f'<td style="{_CELL};background:{_shade(float(alignment.similarities[row, column]) / largest)}">'
            f"{_found_number(alignment, row, column)}</td>"
            for column in columns
        ]
        name = f'<span style="{_FAINT}">{piece}</span>' if query.tokens[row].kind == "special" else piece
        head = f'<th style="{right};font-weight:normal">{name}</th>'
        total = f'<td style="{_CELL}">{alignment.parts[row]:.4f}</td>'
        lines.append(f'<tr style="{_ROW}">{head}{"".join(cells)}{total}</tr>')
    parts.append(f'<div style="overflow-x:auto;margin:6px 0"><table style="{_TABLE}">{"".join(lines)}</table></div>')
    notes = ["Each number is a similarity. A bold one is the largest of its row, which is what the token adds."]
    if len(columns) < len(found):
        notes.append(f"Of the {len(found)} tokens that were found, the {MAX_COLUMNS} that add most are shown.")
    if rest := alignment.parts[count:].tolist():
        notes.append(f"Not shown: {plural(len(rest), 'token')} of the query that together add {sum(rest):.4f}.")
    parts.append(_small(" ".join(notes)))
    return parts


def _found_number(alignment: Alignment, row: int, column: int) -> str:
    number = _thousandths(float(alignment.similarities[row, column]))
    return f"<strong>{number}</strong>" if alignment.matches[row] == column else number


def _passage(text: PairText, changes: Float64 | None, largest: float) -> str:
    """A text whose words are coloured by their changes."""
    joined, place, pieces = text.prompt + text.text, len(text.prompt), []
    for index, word in enumerate(text.words[:MAX_PASSAGE_WORDS]):
        shade = "" if changes is None else f"background:{_shade(float(changes[index]) / largest)};"
        shown = _escape(word.text, _MAX_EXAMPLE_CHARACTERS)
        space = " " if joined[place : word.start].strip() != joined[place : word.start] else ""
        pieces.append(f'{space}<span style="{shade}border-radius:3px;padding:0 1px">{shown}</span>')
        place = word.end
    more = len(text.words) - MAX_PASSAGE_WORDS
    rest = f' <span style="{_FAINT}">… and {plural(more, "more word")}</span>' if more > 0 else ""
    return f'<div style="line-height:1.8"><bdi>{"".join(pieces) or "(empty)"}</bdi>{rest}</div>'


def _map_parts(text_map: TextMap) -> list[str]:
    """The plane, and what its colours mean."""
    labels = text_map.distinct_labels
    groups = plural(len(labels), "cluster" if text_map.clustered else "label")
    parts = [_title(plural(len(text_map.texts), "text"), f"{groups}, {_escape(text_map.model_name)}")]
    rows = []
    for number, label in enumerate(labels[:MAX_LABELS]):
        members = [text for text, own in zip(text_map.texts, text_map.labels, strict=True) if own == label]
        dot = f'<span style="color:{PALETTE[number % len(PALETTE)]}">●</span>'
        quoted = [_quote(text, _MAX_EXAMPLE_CHARACTERS) for text in members[:_EXAMPLES]]
        examples = ", ".join(quoted + ["…"] * (len(members) > _EXAMPLES))
        name = f"{dot} {_escape(label, _MAX_EXAMPLE_CHARACTERS)} ({len(members):,})"
        rows.append(f'<div>{name} <span style="{_FAINT}">{examples}</span></div>')
    if len(labels) > MAX_LABELS:
        rows.append(f"<div>… and {plural(len(labels) - MAX_LABELS, 'more label')}</div>")
    legend = f'<div style="flex:1 1 260px">{"".join(rows)}</div>'
    parts.append(f'<div style="display:flex;flex-wrap:wrap;gap:8px 20px">{_plane(text_map)}{legend}</div>')
    notes = [_escape(text_map.sentence, _MAX_SENTENCE_CHARACTERS)]
    if len(text_map.texts) > MAX_DOTS:
        notes.append(f"The picture has only the first {MAX_DOTS} texts.")
    parts.append(_small(" ".join(notes)))
    return parts


def _chips(tokens: Sequence[Token], numbers: Float64 | None, form: str) -> str:
    """Tokens beside each other, each with its number and a bar. The largest number has the longest bar."""
    chips = []
    largest = max(float(np.abs(numbers[: len(tokens)]).max(initial=0.0)), 1e-12) if numbers is not None else 1.0
    for index, token in enumerate(tokens):
        edge = {"special": "1px dashed #8886", "unknown": "1px solid #c22", "text": "1px solid #8886"}[token.kind]
        piece = f'<code style="background:none;padding:0">{_escape(token.piece, _MAX_WORD_CHARACTERS)}</code>'
        body = piece if token.kind != "special" else f'<span style="{_FAINT}">{piece}</span>'
        if numbers is not None:
            number = float(numbers[index])
            colour = _POSITIVE if number >= 0 else _NEGATIVE
            width = round(100 * abs(number) / largest)
            body += (
                f' <small style="display:block;{_FAINT}">{form.format(number)}</small>'
                f'<span style="display:block;height:4px;width:{width}%;background:rgb({colour})"></span>'
            )
        box = (
            f"display:inline-block;vertical-align:top;min-width:34px;margin:0 3px 4px 0;padding:0 5px 3px;border:{edge}"
        )
        chips.append(f'<span style="{box};border-radius:4px">{body}</span> ')
    return f'<div style="margin:6px 0 2px">{"".join(chips)}</div>'


def _heatmap(rows: Sequence[Word], columns: Sequence[Word], shares: Float64) -> str:
    """How much each pair of words adds: a table, coloured by its numbers."""
    largest = max(float(np.abs(shares).max()), 1e-12)
    heads = "".join(f'<th style="{_CELL};font-weight:normal">{_word(word.text)}</th>' for word in columns)
    lines = [f'<tr style="{_ROW}"><td style="{_CELL}"></td>{heads}</tr>']
    for word, numbers in zip(rows, shares.tolist(), strict=True):
        cells = "".join(
            f'<td style="{_CELL};background:{_shade(number / largest)}">{_thousandths(number)}</td>'
            for number in numbers
        )
        head = f'<th style="{_CELL};text-align:right;font-weight:normal">{_word(word.text)}</th>'
        lines.append(f'<tr style="{_ROW}">{head}{cells}</tr>')
    return f'<table style="{_TABLE}">{"".join(lines)}</table>'


def _pair_table(shares: WordShares) -> str:
    """The pairs of words that add most."""
    left = _CELL.replace("center", "left")
    lines = [f'<tr style="{_ROW}"><td style="{left};{_FAINT}" colspan="3">pairs that add most</td></tr>']
    for first, second, share in pairs_without_marks(shares, MAX_PAIRS):
        words = f'<td style="{left}">{_word(first)}</td><td style="{left}">{_word(second)}</td>'
        lines.append(f'<tr style="{_ROW}">{words}<td style="{_CELL}">{share:+.4f}</td></tr>')
    return f'<table style="{_TABLE}">{"".join(lines)}</table>'


def _plane(text_map: TextMap) -> str:
    """The texts as dots. A pointer that rests on a dot shows its text."""
    plane = text_map.plane[:MAX_DOTS]
    if not len(plane):
        return ""
    low, high = plane.min(axis=0), plane.max(axis=0)
    room = np.array([_PLANE_WIDTH - 4 * _DOT, _PLANE_HEIGHT - 4 * _DOT])
    extent = np.where(high > low, high - low, 1.0)
    scale = float((room / extent).min())  # Both axes have the same scale, so distances can be compared.
    places = (plane - (low + high) / 2) * [scale, -scale] + [_PLANE_WIDTH / 2, _PLANE_HEIGHT / 2]
    numbers = {label: number for number, label in enumerate(text_map.distinct_labels)}
    dots = " ".join(
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{_DOT}" fill="{PALETTE[numbers[label] % len(PALETTE)]}">'
        f"<title>{_escape(text, _MAX_EXAMPLE_CHARACTERS)}</title></circle>"
        for (x, y), label, text in zip(places.tolist(), text_map.labels, text_map.texts, strict=False)
    )
    edge = "border:1px solid #8884;border-radius:6px;flex:none;max-width:100%"
    size = f'width="{_PLANE_WIDTH}" height="{_PLANE_HEIGHT}" viewBox="0 0 {_PLANE_WIDTH} {_PLANE_HEIGHT}"'
    name = 'role="img" aria-label="The texts in the plane"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {name} {size} style="{edge}">{dots}</svg>'


def _sparkline(values: Float64) -> str:
    """Numbers as a small line."""
    width, height = 120, 22
    top = max(float(values.max()), 1e-12)
    step = width / max(1, len(values) - 1)
    points = " ".join(f"{2 + k * step:.1f},{2 + height * (1 - v / top):.1f}" for k, v in enumerate(values.tolist()))
    line = f'<polyline points="{points}" fill="none" stroke="rgb({_POSITIVE})" stroke-width="2"/>'
    return f'<svg width="{width + 4}" height="{height + 4}" style="vertical-align:middle">{line}</svg>'


def _heaviest(weights: Float64) -> Int64:
    """The positions of the largest weights, at most ``MAX_WORDS``, in ascending order."""
    return np.sort(np.argsort(-weights, kind="stable")[:MAX_WORDS])


def _shade(strength: float) -> str:
    """The colour of a number from -1 to 1."""
    return f"rgba({_POSITIVE if strength >= 0 else _NEGATIVE},{_MAX_OPACITY * abs(strength):.2f})"


def _thousandths(number: float) -> str:
    """A number with three decimals, without the zero before the point.

    >>> _thousandths(0.0267), _thousandths(-0.0004), _thousandths(1.5)
    ('.027', '0', '1.500')
    """
    text = f"{number:.3f}"
    return "0" if float(text) == 0 else text.replace("0.", ".", 1) if abs(number) < 1 else text


def _title(title: str, rest: str) -> str:
    return f'<div><strong style="font-size:15px">{title}</strong> <span style="{_FAINT}">{rest}</span></div>'


def _small(text: str) -> str:
    return f'<div style="font-size:12px;{_FAINT}">{text}</div>'


def _word(text: str) -> str:
    return f"<bdi>{_escape(text, _MAX_WORD_CHARACTERS)}</bdi>"


def _quote(text: str, characters: int = _MAX_TEXT_CHARACTERS) -> str:
    return f"“<bdi>{_escape(text, characters)}</bdi>”"


def _escape(text: str, characters: int = _MAX_TEXT_CHARACTERS) -> str:
    """A text on one line, shortened, with control characters written out, for any place in HTML."""
    line = " ".join(text[: 2 * characters].split())
    shortened = line if len(line) <= characters and len(text) <= 2 * characters else f"{line[:characters]}…"
    return html.escape(printable(shortened, keep=JOINER))
