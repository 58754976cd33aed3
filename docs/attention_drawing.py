"""Draws which tokens look at which, in an encoder and in a decoder: ``python -m docs.attention_drawing``.

It writes ``attention.svg`` and ``attention-dark.svg`` into ``docs/pictures/``. A test compares them with its result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pellucid.model.spec import AttentionSpec

PICTURES = Path(__file__).parent / "pictures"
TOKENS = ("Rent", "is", "due", "today", "‹end›")
_CELL, _GAP, _LABEL, _BETWEEN, _TOP = 46, 4, 58, 40, 64
_GRID = len(TOKENS) * _CELL
_PANEL = _LABEL + _GRID
_WIDTH, _HEIGHT = 2 * _PANEL + _BETWEEN, _TOP + _GRID + 68


@dataclass(frozen=True)
class Colors:
    """The colours: of the text, of a token that is looked at, of one in a pooled row, and of all others."""

    text: str
    seen: str
    pooled: str
    unseen: str


@dataclass(frozen=True)
class Panel:
    """One kind of attention.

    Attributes:
        title: its name.
        attention: which tokens look at which.
        pooled: the rows whose vectors become the text's vector.
        lines: what the text's vector is, in two lines.
    """

    title: str
    attention: AttentionSpec
    pooled: range
    lines: tuple[str, str]


LIGHT = Colors(text="#33414a", seen="#9fd4e6", pooled="#0b7fa3", unseen="#d5dde1")
DARK = Colors(text="#d3dce1", seen="#2b6479", pooled="#4fbfdd", unseen="#414d54")
_ONE_HEAD = AttentionSpec(heads=1, head_size=64, kv_heads=1)
PANELS = (
    Panel(
        "Encoder",
        _ONE_HEAD,
        range(len(TOKENS)),
        ("Each token looks at all tokens.", "The mean of all rows is the vector."),
    ),
    Panel(
        "Decoder",
        AttentionSpec(heads=1, head_size=64, kv_heads=1, after=0),
        range(len(TOKENS) - 1, len(TOKENS)),
        ("Each token looks at itself and back.", "The last row is the vector."),
    ),
)


def drawing(colors: Colors) -> str:
    """The drawing, as SVG."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="15" fill="{colors.text}">',
        "  <title>Which tokens look at which, in an encoder and in a decoder</title>",
    ]
    for number, panel in enumerate(PANELS):
        lines += _panel(panel, number * (_PANEL + _BETWEEN), colors)
    return "\n".join([*lines, "</svg>", ""])


def _panel(panel: Panel, left: int, colors: Colors) -> Iterator[str]:
    grid = left + _LABEL
    middle = grid + _GRID // 2
    yield f'  <text x="{middle}" y="18" text-anchor="middle" font-size="17" font-weight="600">{panel.title}</text>'
    for place, token in enumerate(TOKENS):
        center = place * _CELL + _CELL // 2
        yield f'  <text x="{grid + center}" y="{_TOP - 10}" text-anchor="middle" font-size="14">{token}</text>'
        yield f'  <text x="{grid - 8}" y="{_TOP + center + 5}" text-anchor="end" font-size="14">{token}</text>'
    size = _CELL - _GAP
    for row in range(len(TOKENS)):
        for column in range(len(TOKENS)):
            place = f'x="{grid + column * _CELL + _GAP // 2}" y="{_TOP + row * _CELL + _GAP // 2}"'
            box = f'  <rect {place} width="{size}" height="{size}" rx="6"'
            if _looks_at(row, column, panel.attention):
                yield f'{box} fill="{colors.pooled if row in panel.pooled else colors.seen}"/>'
            else:
                yield f'{box} fill="none" stroke="{colors.unseen}" stroke-width="1.5"/>'
    for number, line in enumerate(panel.lines):
        place = f'x="{left + _PANEL // 2}" y="{_TOP + _GRID + 28 + 22 * number}"'
        yield f'  <text {place} text-anchor="middle">{line}</text>'


def _looks_at(token: int, other: int, attention: AttentionSpec) -> bool:
    is_near_before = attention.before is None or other >= token - attention.before
    return is_near_before and (attention.after is None or other <= token + attention.after)


def main() -> None:
    """Write both drawings."""
    for colors, name in ((LIGHT, "attention.svg"), (DARK, "attention-dark.svg")):
        (PICTURES / name).write_text(drawing(colors), encoding="utf-8")


if __name__ == "__main__":
    main()
