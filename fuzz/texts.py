"""Target ``texts``: any text. Its tokens and chunks keep their invariants; or it has half a character, and the error
is a ``TextError``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tests import tiny, tiny_families

from pellucid.errors import TextError
from pellucid.model.load import load_spec
from pellucid.sources import local
from pellucid.text.chunking import spans
from pellucid.text.tokenizer import Tokenizer

PIECES = (
    *(
        "the cat",
        "dog.",
        "\n\n",
        "\n",
        " ",
        "\t",
        "\r\n",
        "\0",
        "\u200b",
        "\ufeff",
        "\u00a0",
        "\u3000",
        "\u2028",
        "\u0301",
    ),
    *(
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\U000e0041",
        "\ufdfa",
        "\u0130",
        "\u1e9e",
        "\u65e5\u672c\u3002",
        "\ud800",
        "\udc00",
    ),
    *("[CLS]", "[MASK]", "<s>", "<mask>", "</s>", "# ", "\n===", "```", "\u2581", "\u0120", "##ing", "zzz"),
)


def target() -> Callable[[Any], None]:
    root = Path("build/fuzz-models/texts")  # libFuzzer ends the process, so nothing could clean up.
    tokenizers = [_tokenizer(tiny.write_model(root / family, family)) for family in tiny_families.FAMILIES]

    def check(data: Any) -> None:
        tokenizer = data.PickValueInList(tokenizers)
        prompt = make_text(data, 2)
        texts = [make_text(data, data.ConsumeIntInRange(0, 60)) for _ in range(data.ConsumeIntInRange(0, 3))]
        try:
            batch, counts = tokenizer.tokenize(texts, prompt)
        except TextError:
            assert any(_is_half_character(character) for character in "".join([prompt, *texts]))
            return
        max_tokens = tokenizer.spec.max_tokens
        assert not any(_is_half_character(character) for character in "".join([prompt, *texts]))
        assert batch.ids.dtype == batch.offsets.dtype == counts.dtype == np.int32
        assert batch.offsets[0] == 0
        assert batch.offsets[-1] == len(batch.ids)
        assert batch.lengths.tolist() == [min(count, max_tokens) for count in counts.tolist()]
        for text, ids in zip(texts, batch, strict=True):
            assert [token.id for token in tokenizer.inspect(text, prompt).tokens] == ids.tolist()
            tokenizer.decode(ids.tolist())
            starts, ends = tokenizer.characters(text)
            assert ((starts >= 0) & (starts <= ends) & (ends <= len(text))).all()
            check_chunks(text, tokenizer, data)

    return check


def check_chunks(text: str, tokenizer: Tokenizer, data: Any) -> None:
    """The chunks are in order, lie inside the text, are short enough, and leave out nothing that has tokens."""
    max_tokens = data.ConsumeIntInRange(4, tiny.MAX_TOKENS)
    overlap = data.ConsumeIntInRange(0, (max_tokens - 2) // 2)
    previous_start = previous_end = 0
    for span in spans(
        text, tokenizer, max_tokens=max_tokens, overlap=overlap, kind=data.PickValueInList(["text", "code", "markdown"])
    ):
        chunk = text[span.start : span.end]
        assert chunk
        assert 0 <= previous_start <= span.start < span.end <= len(text)
        assert span.end > previous_end
        assert span.tokens == tokenizer.tokenize([chunk])[1][0]
        assert span.tokens <= max_tokens or len(chunk) == 1
        assert len(tokenizer.characters(text[previous_end : max(previous_end, span.start)].strip())[0]) == 0
        previous_start, previous_end = span.start, span.end
    assert len(tokenizer.characters(text[previous_end:].strip())[0]) == 0


def make_text(data: Any, pieces: int) -> str:
    """Words, special tokens, markup and strange characters, in any order."""
    return "".join(
        data.ConsumeUnicode(4) if data.ConsumeIntInRange(0, 9) == 0 else data.PickValueInList(list(PIECES))
        for _ in range(pieces)
    )


def _is_half_character(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def _tokenizer(folder: Path) -> Tokenizer:
    files = local.find(str(folder))
    assert files is not None
    spec = load_spec(files)
    return Tokenizer(files, spec.tokenizer, spec.encoder)
