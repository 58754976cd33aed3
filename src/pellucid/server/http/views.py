"""What the page of the server shows, as plain values for JSON: the views of ``pellucid explain``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic_core import to_json

from pellucid.embedder import Embedder
from pellucid.errors import OptionError
from pellucid.explain.render import contents
from pellucid.explain.text_map import text_map
from pellucid.explain.trace import ATTENTION_BYTES, Trace
from pellucid.model.spec import EncoderSpec
from pellucid.text.checks import as_list, check_texts

_TABLES = 5
"""Stages of vectors beside the layers: the tables that are looked up, their sum, and a last norm."""
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
    """
    texts = as_list(texts)
    check_map(texts)
    return contents.of_map(text_map(embedder.encoder, texts))


def check_map(texts: Sequence[str], most: int = MOST) -> None:
    """Refuse too few texts for a map, or more than ``most``.

    Raises:
        OptionError: it has too few, or too many.
    """
    if len(texts) < FEWEST:
        raise OptionError(
            f"a map needs at least {FEWEST} texts, and there is {len(texts) or 'none'}. Put one on a line."
        )
    if len(texts) > most:
        raise OptionError(
            f"a map has at most {most} texts here, and there are {len(texts):,}. Leave some out, or draw it with "
            f"`pellucid explain --map FILE --output map.html`, which takes any number."
        )


def trace_numbers(encoder: EncoderSpec, tokens: int) -> int:
    """About how many numbers the trace of a text of so many tokens has."""
    attention = sum(block.attention.heads for block in encoder.blocks) * tokens * tokens
    vectors = (len(encoder.blocks) + _TABLES) * tokens * encoder.hidden_size
    return vectors + (attention if 4 * attention <= ATTENTION_BYTES else 0)


def trace_pieces(trace: Trace, check: Callable[[], object]) -> Iterator[bytes]:
    """What ``trace.to_json()`` gives, array by array, so that the numbers of one alone are objects of Python.

    Args:
        trace: any trace.
        check: called before each stage.
    """
    told = json.loads(trace.to_json(arrays=False))
    stages = told.pop("stages")
    yield to_json(told)[:-1] + b',"stages":['
    for number, (about, stage) in enumerate(zip(stages, trace.stages, strict=True)):
        check()
        yield (b"," if number else b"") + to_json(about)[:-1] + b',"arrays":{'
        for place, (name, array) in enumerate(stage.arrays.items()):
            yield (b"," if place else b"") + to_json(name) + b":" + to_json(array.tolist())
        yield b"}}"
    yield b"]}"
