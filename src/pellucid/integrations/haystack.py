"""Haystack: components that embed a query, embed documents, and put documents in order."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict

from pellucid.embedder import Embedder
from pellucid.reranker import Reranker
from pellucid.task import check_options


@component
class PellucidTextEmbedder:
    """Embeds a query: ``run(text)`` returns ``{"embedding": …}``, a list of floats.

    Args:
        model: a Hub name, a short name, or a folder.
        options: options of :class:`~pellucid.Embedder`, such as ``dtype="int8"``.

    Raises:
        TypeError: an option is unknown.
    """

    def __init__(self, model: str = "all-MiniLM-L6-v2", **options: Any) -> None:
        check_options(Embedder, options)
        self.model = model
        self.options = options

    def to_dict(self) -> dict[str, Any]:
        """The component as a dict, for a pipeline's file."""
        return default_to_dict(self, model=self.model, **self.options)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PellucidTextEmbedder:
        """The component that :meth:`to_dict` described."""
        return default_from_dict(cls, data)

    @functools.cached_property
    def _embedder(self) -> Embedder:
        return Embedder(self.model, **self.options)

    def warm_up(self) -> None:
        """Load the model, if it is not loaded yet. :meth:`run` does so too."""
        self._embedder  # noqa: B018

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:
        """Embed ``text``. Returns ``embedding``, a list of floats."""
        return {"embedding": self._embedder.embed_query(text).tolist()}


@component
class PellucidDocumentEmbedder:
    """Embeds documents: ``run(documents)`` returns ``{"documents": …}``, copies that have an ``embedding``.

    Args:
        model: a Hub name, a short name, or a folder.
        meta_fields_to_embed: the fields of a document's ``meta`` to put before its content.
        embedding_separator: what to put between them.
        options: options of :class:`~pellucid.Embedder`, such as ``dtype="int8"``.

    Raises:
        TypeError: an option is unknown.
    """

    def __init__(
        self,
        model: str = "all-MiniLM-L6-v2",
        *,
        meta_fields_to_embed: Sequence[str] = (),
        embedding_separator: str = "\n",
        **options: Any,
    ) -> None:
        check_options(Embedder, options)
        self.model = model
        self.options = options
        self.meta_fields_to_embed = list(meta_fields_to_embed)
        self.embedding_separator = embedding_separator

    def to_dict(self) -> dict[str, Any]:
        """The component as a dict, for a pipeline's file."""
        return default_to_dict(
            self,
            model=self.model,
            meta_fields_to_embed=self.meta_fields_to_embed,
            embedding_separator=self.embedding_separator,
            **self.options,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PellucidDocumentEmbedder:
        """The component that :meth:`to_dict` described."""
        return default_from_dict(cls, data)

    @functools.cached_property
    def _embedder(self) -> Embedder:
        return Embedder(self.model, **self.options)

    def warm_up(self) -> None:
        """Load the model, if it is not loaded yet. :meth:`run` does so too."""
        self._embedder  # noqa: B018

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """Embed ``documents``. Returns ``documents``: copies that have an ``embedding``."""
        texts = [join_text(each, self.meta_fields_to_embed, self.embedding_separator) for each in documents]
        vectors = self._embedder.embed_documents(texts).tolist()
        embedded = [
            dataclasses.replace(document, embedding=vector) for document, vector in zip(documents, vectors, strict=True)
        ]
        return {"documents": embedded}


@component
class PellucidRanker:
    """Sorts documents by how well they answer a query, with a cross-encoder.

    ``run(query, documents, top_k=None)`` returns ``{"documents": …}``, copies with a ``score``, best first.

    Args:
        model: a Hub name, or a folder.
        top_k: how many documents to keep.
        meta_fields_to_embed: the fields of a document's ``meta`` to put before its content.
        embedding_separator: what to put between them.
        score_threshold: leave out documents with a lower score.
        options: options of :class:`~pellucid.Reranker`, such as ``dtype="int8"``.

    Raises:
        TypeError: an option is unknown.
    """

    def __init__(
        self,
        model: str = "cross-encoder/ms-marco-MiniLM-L6-v2",
        *,
        top_k: int = 10,
        meta_fields_to_embed: Sequence[str] = (),
        embedding_separator: str = "\n",
        score_threshold: float | None = None,
        **options: Any,
    ) -> None:
        check_options(Reranker, options)
        self.model = model
        self.top_k = top_k
        self.options = options
        self.meta_fields_to_embed = list(meta_fields_to_embed)
        self.embedding_separator = embedding_separator
        self.score_threshold = score_threshold

    def to_dict(self) -> dict[str, Any]:
        """The component as a dict, for a pipeline's file."""
        return default_to_dict(
            self,
            model=self.model,
            top_k=self.top_k,
            meta_fields_to_embed=self.meta_fields_to_embed,
            embedding_separator=self.embedding_separator,
            score_threshold=self.score_threshold,
            **self.options,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PellucidRanker:
        """The component that :meth:`to_dict` described."""
        return default_from_dict(cls, data)

    @functools.cached_property
    def _reranker(self) -> Reranker:
        return Reranker(self.model, **self.options)

    def warm_up(self) -> None:
        """Load the model, if it is not loaded yet. :meth:`run` does so too."""
        self._reranker  # noqa: B018

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, Any]:
        """Sort ``documents``. Returns ``documents``: copies with a ``score``, best first."""
        texts = [join_text(each, self.meta_fields_to_embed, self.embedding_separator) for each in documents]
        ranks = self._reranker.rank(query, texts, self.top_k if top_k is None else top_k)
        least = self.score_threshold
        return {
            "documents": [
                dataclasses.replace(documents[rank.index], score=rank.score)
                for rank in ranks
                if least is None or rank.score >= least
            ]
        }


def join_text(document: Document, meta_fields: Sequence[str], separator: str) -> str:
    """The text of a document: the fields of its ``meta`` that are there, and its content."""
    fields = [str(document.meta[name]) for name in meta_fields if document.meta.get(name) is not None]
    return separator.join([*fields, document.content or ""])
