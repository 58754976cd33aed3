"""What the page of the server shows, as plain values for JSON: the views of ``pellucid explain``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pellucid.embedder import Embedder
from pellucid.errors import OptionError
from pellucid.explain import contents
from pellucid.explain.map import text_map
from pellucid.texts import as_list, check_texts

FEWEST, MOST = 2, 200
"""How many texts a map may have: one lies nowhere, and the matrix of many more cannot be read."""


def trace_view(embedder: Embedder, text: str, prompt_name: str | None = None) -> dict[str, Any]:
    """One text on its way to its vector.

    Args:
        embedder: the model.
        text: any text; what is too long for the model is cut, and the view says so.
        prompt_name: as for :meth:`~pellucid.embedder.Embedder.embed_query`.

    Raises:
        TextTypeError, TextError: the text is not one.
        OptionError: the model has no such prompt.
    """
    check_texts([text])
    return contents.of_trace(embedder.trace(text, prompt_name=prompt_name))


def compare_view(embedder: Embedder, first: str, second: str, prompt_name: str | None = None) -> dict[str, Any]:
    """Two texts, and what each pair of their tokens adds to their cosine.

    Args:
        embedder: the model.
        first: like a query, if the model has a prompt for queries.
        second: like a document, if the model has a prompt for documents.
        prompt_name: a prompt for both instead.

    Raises:
        TextTypeError, TextError: a text is not one; its position is named.
        OptionError: the model has no such prompt.
    """
    check_texts([first, second])
    return contents.of_comparison(embedder.compare(first, second, prompt_name=prompt_name))


def map_view(embedder: Embedder, texts: Sequence[str]) -> dict[str, Any]:
    """Many texts in the plane, their groups, and how alike each is to each.

    Args:
        embedder: the model.
        texts: ``FEWEST`` to ``MOST`` of them.

    Raises:
        TextTypeError, TextError: a value is not a text; its position is named.
        OptionError: too few texts, or too many.
        TruncationError: a text is too long for the model, and the embedder was made to refuse it.
    """
    texts = as_list(texts)
    if len(texts) < FEWEST:
        raise OptionError(
            f"a map needs at least {FEWEST} texts, and there is {len(texts) or 'none'}. Put one on a line."
        )
    if len(texts) > MOST:
        raise OptionError(
            f"a map has at most {MOST} texts here, and there are {len(texts):,}. Leave some out, or draw it with "
            f"`pellucid explain --map FILE --output map.html`, which takes any number."
        )
    return contents.of_map(text_map(embedder, texts))
