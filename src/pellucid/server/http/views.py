"""The data of the views on the server's page, as plain values for JSON. They are those of ``pellucid explain``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic_core import to_json

from pellucid.embedder import Embedder
from pellucid.embedding import EmbeddingTask
from pellucid.errors import OptionError, UnsupportedModelError
from pellucid.explain.alignment import Alignment
from pellucid.explain.comparison import Comparison
from pellucid.explain.leave_out import MAX_PRODUCTS
from pellucid.explain.render import contents
from pellucid.explain.score import ExplainedScore, explain_score
from pellucid.explain.sparse import ExplainedSparseScore
from pellucid.explain.text_map import text_map
from pellucid.explain.trace import MAX_ATTENTION_BYTES, Trace
from pellucid.model.spec import EncoderSpec
from pellucid.multi_vector_embedder import MultiVectorEmbedder
from pellucid.reranker import Reranker
from pellucid.sparse_embedder import SparseEmbedder
from pellucid.text.checks import as_list, check_texts

ExplainedPair = Comparison | ExplainedScore | ExplainedSparseScore | Alignment
PairTask = EmbeddingTask | Reranker

_SCORE_PRODUCTS = MAX_PRODUCTS / 8
"""About how many multiplications it may take to explain a score: the server has other work, too."""
_OTHER_STAGES = 5
"""How many stages a trace has besides its layers: the embedding tables, their sum, and a last norm."""
MIN_MAP_TEXTS, MAX_MAP_TEXTS = 2, 200
"""How many texts a map may have. A single text has no place, and a matrix of many more is unreadable."""


def trace_view(embedder: Embedder, text: str, prompt_name: str | None = None) -> dict[str, Any]:
    """Every step from one text to its vector.

    Args:
        embedder: the model.
        text: any text. One that is too long for the model is cut, and the view says so.
        prompt_name: as in :meth:`~pellucid.embedder.Embedder.embed_query`.

    Raises:
        TextTypeError, TextError: the text cannot be used.
        OptionError: the model has no such prompt.
    """
    check_texts([text])
    return contents.trace_data(embedder.trace(text, prompt_name=prompt_name))


def explain_pair(task: PairTask, first: str, second: str, prompt_name: str | None = None) -> ExplainedPair:
    """Why two texts are close, by an embedder; or why a document has its score for a query, by any other task.

    Args:
        task: the model.
        first: read as a query, if the model treats queries and documents differently.
        second: read as a document then.
        prompt_name: the prompt for both texts of an embedder, or for the query of another task, instead of the default.

    Raises:
        TextTypeError, TextError: a text cannot be used. The message gives its position.
        OptionError: the model has no such prompt.
        UnsupportedModelError: the model's vectors cannot be explained: see the method ``explain`` of the task.
    """
    check_texts([first, second])
    if isinstance(task, Embedder):
        return task.compare(first, second, prompt_name=prompt_name)
    if isinstance(task, SparseEmbedder | MultiVectorEmbedder):
        return task.explain(first, second, prompt_name=prompt_name)
    if not isinstance(task, Reranker):
        raise UnsupportedModelError(f"{task.spec.name} cannot explain two texts.")
    prompt = task.prompt_named(prompt_name)
    return explain_score(task.encoder, first, second, prompt, task.activation, max_products=_SCORE_PRODUCTS)


def compare_view(task: PairTask, first: str, second: str, prompt_name: str | None = None) -> dict[str, Any]:
    """What :func:`explain_pair` finds, as the page draws it."""
    return contents.page_data(explain_pair(task, first, second, prompt_name))


def map_view(embedder: Embedder, texts: Sequence[str]) -> dict[str, Any]:
    """Texts as points in a plane, their groups, and how similar each text is to each other one.

    Args:
        embedder: the model.
        texts: from ``MIN_MAP_TEXTS`` to ``MAX_MAP_TEXTS`` texts.

    Raises:
        TextTypeError, TextError: a text cannot be used. The message gives its position.
        OptionError: there are too few texts, or too many.
    """
    texts = as_list(texts)
    check_map(texts)
    return contents.map_data(text_map(embedder.encoder, texts, on_truncation=embedder.on_truncation))


def check_map(texts: Sequence[str], max_texts: int = MAX_MAP_TEXTS) -> None:
    """Refuse a map of too few texts, or of more than ``max_texts``.

    Raises:
        OptionError: there are too few texts, or too many.
    """
    if len(texts) < MIN_MAP_TEXTS:
        raise OptionError(f"a map needs at least {MIN_MAP_TEXTS} texts, not {len(texts)}. Put each on its own line.")
    if len(texts) > max_texts:
        raise OptionError(
            f"a map can have at most {max_texts} texts here, not {len(texts):,}. Leave some out, or draw it with "
            f"`pellucid explain --map FILE --output map.html`, which takes more."
        )


def trace_numbers(encoder: EncoderSpec, tokens: int) -> int:
    """About how many numbers there are in the trace of a text with ``tokens`` tokens."""
    attention = sum(block.attention.heads for block in encoder.blocks) * tokens * tokens
    vectors = (len(encoder.blocks) + _OTHER_STAGES) * tokens * encoder.hidden_size
    return vectors + (attention if 4 * attention <= MAX_ATTENTION_BYTES else 0)


def trace_pieces(trace: Trace, check: Callable[[], object]) -> Iterator[bytes]:
    """Yield the JSON of ``trace.to_json()`` array by array. So only one array at a time exists as Python numbers.

    Args:
        trace: any trace.
        check: called before each stage. It raises to stop the work.
    """
    document = json.loads(trace.to_json(arrays=False))
    stages = document.pop("stages")
    yield to_json(document)[:-1] + b',"stages":['
    for number, (description, stage) in enumerate(zip(stages, trace.stages, strict=True)):
        check()
        yield (b"," if number else b"") + to_json(description)[:-1] + b',"arrays":{'
        for index, (name, array) in enumerate(stage.arrays.items()):
            yield (b"," if index else b"") + to_json(name) + b":" + to_json(array.tolist())
        yield b"}}"
    yield b"]}"
