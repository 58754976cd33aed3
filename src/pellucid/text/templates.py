"""The special tokens that a model wants around a text, or around a pair of texts.

The ``tokenizers`` library does not tell where its post-processor puts them. So it tokenizes a word or two, and we look
where these are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.reprs import short_repr
from pellucid.text.library import Library
from pellucid.text.pairs import PairTemplate, find_template
from pellucid.text.tokenizer_files import TEMPLATE_RULE
from pellucid.types import Int32, Runs, TokenBatch


@dataclass(frozen=True, eq=False)
class TextTemplate:
    """The special tokens of a text.

    Attributes:
        before, after: the ids of the special tokens before and after the text, each ``int32[n]``.
    """

    before: Int32
    after: Int32

    __repr__ = short_repr

    @property
    def specials(self) -> int:
        """The number of special tokens."""
        return len(self.before) + len(self.after)

    def apply(self, plain: TokenBatch, max_tokens: int, *, keep_end: bool) -> TokenBatch:
        """Cut texts to what the model reads, and put the special tokens around them. Special tokens are never cut.

        Args:
            plain: the texts' tokens, without special tokens.
            max_tokens: the most tokens of a text, special tokens included.
            keep_end: True if texts are cut at their start.

        Raises:
            InputError: there are more tokens than int32 can count.
        """
        kept = np.minimum(plain.lengths, max_tokens - self.specials)
        # Each text is three runs of the ids: special tokens, the text, special tokens.
        starts, lengths = np.empty((2, len(plain), 3), dtype=np.int32)
        starts[:, 0], starts[:, 2] = len(plain.ids), len(plain.ids) + len(self.before)
        starts[:, 1] = plain.offsets[1:] - kept if keep_end else plain.offsets[:-1]
        lengths[:, 0], lengths[:, 1], lengths[:, 2] = len(self.before), kept, len(self.after)
        runs = Runs(starts.ravel(), lengths.ravel())
        return TokenBatch(runs.gather(np.concatenate([plain.ids, self.before, self.after])), runs.offsets[::3].copy())

    def apply_to_one(self, ids: Int32 | list[int], max_tokens: int, *, keep_end: bool) -> TokenBatch:
        """Do the same for the ids of one text, which takes a third of the time."""
        room = max_tokens - self.specials
        if len(ids) > room:
            ids = ids[-room:] if keep_end else ids[:room]
        if isinstance(ids, list):
            whole = np.array([*self.before.tolist(), *ids, *self.after.tolist()], dtype=np.int32)
        else:
            whole = np.concatenate((self.before, ids, self.after))
        return TokenBatch(whole, np.array((0, len(whole)), dtype=np.int32))


def find_text_template(library: Library, specials: list[int]) -> TextTemplate:
    """Find out where the special tokens of a text go.

    Args:
        library: the tokenizer.
        specials: the ids of all special tokens, in order.

    Raises:
        UnsupportedModelError: the template does not contain the text exactly once, between special tokens.
        InvalidModelError: none of a few words has tokens.
    """
    failure = None
    for word in library.probe_words():
        try:
            encoded = list(library.encode([word], specials=True)[0].ids)
            plain = list(library.encode([word])[0].ids)
        except InvalidModelError as error:  # It has no token for unknown words. Other texts may not need one.
            failure = error
            continue
        if not plain or set(plain) & set(specials):
            continue
        for place in range(len(specials) + 1):
            if encoded == [*specials[:place], *plain, *specials[place:]]:
                before, after = specials[:place], specials[place:]
                return TextTemplate(np.array(before, dtype=np.int32), np.array(after, dtype=np.int32))
        raise UnsupportedModelError(
            f"{library.name}: the tokenizer's post_processor is not supported: {TEMPLATE_RULE}."
        )
    raise failure or InvalidModelError(
        f"{library.name}: the tokenizer turns none of its own words into tokens. Get the model's files again."
    )


def find_pair_template(library: Library) -> PairTemplate:
    """Find out where the special tokens of a pair of texts go.

    Raises:
        UnsupportedModelError: the template does more than add special tokens around the two texts.
    """
    specials = set(library.encode_pair("", "")[0])
    tried: list[tuple[str, list[int]]] = []
    for word in library.probe_words():
        try:
            plain = list(library.encode([word])[0].ids)
        except InvalidModelError:  # It has no token for unknown words. Other texts may not need one.
            continue
        if specials & set(plain):  # The vocabulary has the special tokens too.
            continue
        for other, ids in tried:
            if (template := find_template(*library.encode_pair(other, word), ids, plain)) is not None:
                return template
        tried.append((word, plain))
    raise UnsupportedModelError(
        f"{library.name}: the tokenizer's post_processor is not supported for pairs: {TEMPLATE_RULE}."
    )
