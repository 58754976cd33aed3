"""The vocabulary of a model's tokenizer, and a copy of the tokenizer that needs no other file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from pellucid.model.spec import TokenizerSpec
from pellucid.sources.files import ModelFiles
from pellucid.text.tokenizer_files import load, translate_errors
from pellucid.types import Int32

_UNUSED = re.compile(r"\[unused\d+\]")
"""BERT keeps rows for tokens that no text has. model2vec leaves out the same names."""


class Vocabulary:
    """The tokens of a model's tokenizer.

    Args:
        files: the model's files.
        spec: what they say about the tokenizer.
        family: the family of its encoder.

    Raises:
        InvalidModelError, UnsupportedModelError: as :class:`~pellucid.text.tokenizer.Tokenizer`.
    """

    def __init__(self, files: ModelFiles, spec: TokenizerSpec, family: str) -> None:
        self._name = files.name
        self._backend = load(files, spec, family)

    def meaningful(self) -> Int32:
        """The ids of the tokens that a text's own characters can become, rising: ``int32[n]``.

        Special tokens, the token for unknown words, and BERT's unused ones are left out.
        """
        vocabulary = self._backend.get_vocab(with_added_tokens=True)
        added = self._backend.get_added_tokens_decoder()
        silent = {number for number, token in added.items() if token.special}
        unknown = getattr(self._backend.model, "unk_token", None)
        silent |= {number for piece, number in vocabulary.items() if piece == unknown or _UNUSED.fullmatch(piece)}
        return np.array(sorted(set(vocabulary.values()) - silent), dtype=np.int32)

    def save(self, path: Path) -> None:
        """Write a ``tokenizer.json`` that does what this model's tokenizer does, whatever its other files say."""
        with translate_errors(self._name):
            self._backend.save(str(path))
