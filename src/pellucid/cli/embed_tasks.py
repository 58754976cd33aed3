"""The tasks of ``pellucid embed``: which options each refuses, its model, and how its vectors are shown."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pellucid.cli import multi_vectors, options, sparse, vectors
from pellucid.cli.vector_files import VectorFormat
from pellucid.errors import OptionError
from pellucid.sparse_vectors import SparseVectors
from pellucid.types import MultiVectors

FORMATS: Mapping[str, VectorFormat[Any]] = {
    "dense": vectors.FORMAT,
    "sparse": sparse.FORMAT,
    "multi-vector": multi_vectors.FORMAT,
}
"""For each task how its vectors are written."""
_MAX_SIMILARITY_TEXTS = 12
_REFUSED = {
    "dense": {
        "max_active_dims": "--max-active-dims needs --task sparse. To shorten dense vectors, give --truncate-dim.",
    },
    "sparse": {
        "normalize": "--normalize is for dense vectors. The length of a sparse vector counts when it is compared.",
        "truncate_dim": "--truncate-dim is for dense vectors. To shorten sparse vectors, give --max-active-dims.",
        "output_dtype": "--output-dtype is for dense vectors. The numbers of sparse vectors are float32.",
    },
    "multi-vector": {
        "normalize": "--normalize is for dense vectors. With --task multi-vector, the model decides.",
        "truncate_dim": "--truncate-dim is for dense vectors. With --task multi-vector, vectors stay whole.",
        "output_dtype": "--output-dtype is for dense vectors. With --task multi-vector, the numbers are float32.",
        "max_active_dims": "--max-active-dims needs --task sparse.",
    },
}
"""For each task the options that it refuses, and what to say."""


@dataclass(frozen=True)
class Loaded:
    """A model, and how it embeds the texts of this call.

    Attributes:
        embed: turns a list of texts into their vectors.
        stream: turns any number of texts into windows of vectors. It has a parameter ``advance``, as ``embed_stream``.
        show: prints texts and their vectors, a list of windows. The last argument is the number of further texts.
    """

    embed: Callable[[list[str]], Any]
    stream: Callable[..., Iterator[Any]]
    show: Callable[[list[str], list[Any], int], None]


def check_task(task: str, model: str, given: Collection[str]) -> None:
    """Refuse options of another task, and the default model if it is of another task.

    Args:
        task: the task.
        model: the model's name.
        given: the names of the options that are given, of those that not all tasks have.

    Raises:
        OptionError: one of them is refused.
    """
    for option, message in _REFUSED[task].items():
        if option in given:
            raise OptionError(message)
    options.check_model_of_task(task, model)


def load(
    task: str,
    model: str,
    how: Mapping[str, Any],
    *,
    query: bool,
    prompt: str | None,
    prompt_name: str | None,
    given: Mapping[str, Any],
) -> Loaded:
    """Load a model.

    Args:
        task: its task.
        model: its name.
        how: the options of its constructor.
        query: embed texts as queries, with the prompt of queries.
        prompt: the prompt, if it was given.
        prompt_name: its name, if that was given.
        given: what :func:`check_task` has checked, with the values.

    Raises:
        OptionError: the model has no such prompt, or cannot read queries here.
        PellucidError: the model cannot be loaded.
    """
    prompts = {"prompt": prompt, "prompt_name": prompt_name}
    if task == "multi-vector":
        return _load_multi_vector(model, how, prompts, query=query)
    return (_load_sparse if task == "sparse" else _load_dense)(model, how, prompts, query=query, given=given)


def _load_dense(
    model: str, how: Mapping[str, Any], prompts: Mapping[str, str | None], *, query: bool, given: Mapping[str, Any]
) -> Loaded:
    from pellucid.embedder import Embedder

    embedder = Embedder(model, **how)
    if query:
        embedder = embedder.for_queries
        prompts = _query_prompt(embedder.spec.prompts)

    def show(texts: list[str], windows: list[Any], omitted: int) -> None:
        found = np.concatenate(windows)
        vectors.print_vectors(embedder, texts, found, omitted=omitted)
        if _are_compared(texts, omitted) and np.issubdtype(found.dtype, np.floating):
            vectors.print_similarities(found)

    every = {**prompts, **given}
    return Loaded(partial(embedder.embed_documents, **every), partial(embedder.embed_stream, **every), show)


def _load_sparse(
    model: str, how: Mapping[str, Any], prompts: Mapping[str, str | None], *, query: bool, given: Mapping[str, Any]
) -> Loaded:
    from pellucid.sparse_embedder import SparseEmbedder

    embedder = SparseEmbedder(model, **how)
    if query:
        if embedder.reads_queries_apart:
            raise OptionError(
                f"{embedder.model_name} has another way to read queries, which --query does not take. Use "
                f"SparseEmbedder.embed_query in Python."
            )
        prompts = _query_prompt(embedder.spec.prompts)

    def show(texts: list[str], windows: list[Any], omitted: int) -> None:
        found = SparseVectors.concatenate(windows)
        sparse.print_vectors(embedder, texts, found, omitted=omitted)
        if _are_compared(texts, omitted):
            sparse.print_products(found)

    every = {**prompts, **given}
    return Loaded(partial(embedder.embed_documents, **every), partial(embedder.embed_stream, **every), show)


def _load_multi_vector(model: str, how: Mapping[str, Any], prompts: Mapping[str, str | None], *, query: bool) -> Loaded:
    from pellucid.multi_vector_embedder import MultiVectorEmbedder
    from pellucid.text.sides import AnySide

    embedder = MultiVectorEmbedder(model, **how)
    side: AnySide = "query" if query else "document"
    prompt = prompts["prompt"]
    if prompt is None:
        prompt = embedder.query_prompt if query else embedder.prompt_named(prompts["prompt_name"])

    def show(texts: list[str], windows: list[Any], omitted: int) -> None:
        found = MultiVectors.join(windows)
        multi_vectors.print_vectors(embedder, texts, found, side=side, prompt=prompt, omitted=omitted)

    return Loaded(
        partial(embedder.embed_as, side, prompt=prompt), partial(embedder.stream_as, side, prompt=prompt), show
    )


def _query_prompt(known: Collection[str]) -> dict[str, str | None]:
    """The prompt of queries, if a model has one."""
    return {"prompt_name": "query" if "query" in known else None}


def _are_compared(texts: list[str], omitted: int) -> bool:
    """Whether there are few enough texts for a table of all pairs."""
    return not omitted and 1 < len(texts) <= _MAX_SIMILARITY_TEXTS
