from __future__ import annotations

import re

import pytest
from docs.attention_drawing import DARK, LIGHT, PANELS, PICTURES, TOKENS, drawing


@pytest.mark.parametrize(("colors", "name"), [(LIGHT, "attention.svg"), (DARK, "attention-dark.svg")])
def test_the_stored_drawing_is_what_the_code_draws(colors, name):
    assert (PICTURES / name).read_text(encoding="utf-8") == drawing(colors)


def test_a_decoder_looks_at_half_of_what_an_encoder_looks_at():
    boxes = re.findall(r'<rect [^>]*fill="([^"]+)"', drawing(LIGHT))
    n = len(TOKENS)
    encoder, decoder = boxes[: n * n], boxes[n * n :]
    assert [panel.title for panel in PANELS] == ["Encoder", "Decoder"]
    assert encoder == [LIGHT.pooled] * n * n
    rows = [decoder[row * n : row * n + n] for row in range(n)]
    expected = [[LIGHT.seen] * (row + 1) + ["none"] * (n - row - 1) for row in range(n - 1)]
    assert rows == [*expected, [LIGHT.pooled] * n]
