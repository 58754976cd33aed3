"""How model2vec tokenizes a text, which differs from the other models' way in three details.

They are those of ``StaticModel.encode`` in model2vec 0.10 (https://github.com/MinishLab/model2vec), so that vectors are
equal:

- a text is first cut to ``max_length`` times the median length of the vocabulary's tokens, in characters;
- then to ``max_length`` tokens, unknown ones included;
- then unknown tokens are left out.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from pellucid.model.spec import NO_LIMIT, EncoderSpec, TokenizerSpec
from pellucid.sources.files import ModelFiles
from pellucid.text.checks import check_texts, counting_limit
from pellucid.text.tokenizer import Tokenizer
from pellucid.types import Int32, TokenBatch, TokenizedText

_UNIGRAM_UNKNOWN = re.compile(rb'"unk_id"\s*:\s*(\d{1,9})\b')


def create_tokenizer(files: ModelFiles, spec: TokenizerSpec, encoder: EncoderSpec, threads: int) -> Tokenizer:
    """The tokenizer of a model. The errors are those of :class:`~pellucid.text.tokenizer.Tokenizer`."""
    return (Model2VecTokenizer if spec.rules == "model2vec" else Tokenizer)(files, spec, encoder, threads)


class Model2VecTokenizer(Tokenizer):
    """A tokenizer with the rules of model2vec."""

    def __init__(self, files: ModelFiles, spec: TokenizerSpec, encoder: EncoderSpec, threads: int = 1) -> None:
        super().__init__(files, spec, encoder, threads)
        if self._library.unknown is None:  # The library does not tell a Unigram model's.
            name = f"{spec.folder}/tokenizer.json" if spec.folder else "tokenizer.json"
            found = _UNIGRAM_UNKNOWN.search(files.read(name))
            self._library.unknown = int(found[1]) if found else None
        self._median_length = int(statistics.median(map(len, self._library.vocabulary)))

    @property
    def max_characters(self) -> int | None:
        """How many characters of a text are read; None for all."""
        return None if self.spec.max_tokens == NO_LIMIT else self.spec.max_tokens * self._median_length

    def tokenize(
        self, texts: Sequence[str], prompt: str = "", *, first: int = 0, check: Callable[[], object] = lambda: None
    ) -> tuple[TokenBatch, Int32]:
        """Cut texts into tokens; see :meth:`Tokenizer.tokenize`.

        The counts are of all tokens, unknown ones included. If a text was cut by its characters, it lost the tokens of
        the rest. Its count is then ``max_tokens`` and the number of those, so that what it lost is reported.
        """
        check_texts(texts, first=first)
        limit = self.max_characters
        cut = [] if limit is None else [i for i, text in enumerate(texts) if len(prompt) + len(text) > limit]
        if limit is None or not cut:
            tokens, counts = super().tokenize(texts, prompt, first=first, check=check)
            return self._known(tokens), counts
        shorter = list(texts)
        for i in cut:
            shorter[i] = (prompt + texts[i])[:limit][len(prompt) :]
        tokens, counts = super().tokenize(shorter, prompt[:limit], first=first, check=check)
        wholes = self._tokenize([texts[i] for i in cut], prompt, [first + i for i in cut], check)[1]
        lost = wholes - np.minimum(counts[cut], self.spec.max_tokens)
        most = np.minimum(self.spec.max_tokens + lost, counting_limit(self.spec.max_tokens))
        counts[cut] = np.where(lost > 0, most, counts[cut])
        return self._known(tokens), counts

    def inspect(self, text: str, prompt: str = "") -> TokenizedText:
        """Show what :meth:`tokenize` does to one text; see :meth:`Tokenizer.inspect`. Unknown tokens are not shown."""
        limit = self.max_characters
        seen = super().inspect(text, prompt)
        tokens, cut = seen.tokens, seen.cut
        if limit is not None and len(prompt) + len(text) > limit:
            # A token that the cut splits becomes one or more other tokens.
            tokens = super().inspect((prompt + text)[:limit]).tokens
            end = tokens[-1].end if tokens else 0
            cut = tuple(token for token in (*seen.tokens, *seen.cut) if token.start >= end)
        return replace(seen, tokens=tuple(token for token in tokens if token.kind != "unknown"), cut=cut)

    def _known(self, tokens: TokenBatch) -> TokenBatch:
        """The same texts without unknown tokens."""
        if self._library.unknown is None or not (is_unknown := tokens.ids == self._library.unknown).any():
            return tokens
        known_before = np.concatenate([[0], np.cumsum(~is_unknown, dtype=np.int32)])
        return TokenBatch(tokens.ids[~is_unknown], known_before[tokens.offsets].astype(np.int32))
