"""A drop-in for ``langchain_huggingface.HuggingFaceEmbeddings``.

As there, ``model_kwargs`` go to ``SentenceTransformer(…)`` and ``encode_kwargs`` to its ``encode(…)``: those of
:class:`pellucid.sentence_transformers.SentenceTransformer`, which says what each of them may be.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

try:
    from langchain_core.embeddings import Embeddings
    from pydantic import BaseModel, ConfigDict, Field, PrivateAttr
except ImportError as error:
    from pellucid.errors import MissingExtraError

    raise MissingExtraError("langchain-core", "langchain") from error

from pellucid.errors import OptionError
from pellucid.sentence_transformers import SentenceTransformer
from pellucid.sentence_transformers.arguments import check_value, check_values
from pellucid.text.checks import as_list


def _options_of(method: Callable[..., Any], *left_out: str) -> dict[str, tuple[Any, ...]]:
    """The names of a method's options, for ``check_values``. The method itself judges their values."""
    return {name: () for name in inspect.signature(method).parameters if name not in ("self", *left_out)}


_MODEL_KWARGS = {
    **_options_of(SentenceTransformer.__init__, "model_name_or_path", "cache_folder"),
    "tokenizer_kwargs": (),  # The older name of processor_kwargs.
}
_ENCODE_KWARGS = {
    **_options_of(SentenceTransformer.encode, "inputs", "show_progress_bar"),
    "output_value": ("sentence_embedding",),
}


class HuggingFaceEmbeddings(BaseModel, Embeddings):  # noqa: PLW1641  It is mutable, so it has no hash.
    """Sentence-transformers models for LangChain, without PyTorch.

    The constructor finds the model's files, downloads them only if there is no copy on disk, and loads them. As in
    ``langchain_huggingface``, line breaks in a text become spaces.

    Example:
        >>> embeddings = HuggingFaceEmbeddings(          # doctest: +SKIP
        ...     model_name="sentence-transformers/all-MiniLM-L6-v2",
        ...     encode_kwargs={"normalize_embeddings": True},
        ... )
        >>> len(embeddings.embed_query("Hello"))         # doctest: +SKIP
        384

    Raises:
        OptionError: a key of ``model_kwargs``, ``encode_kwargs`` or ``query_encode_kwargs`` is not supported.
        ModelError: the model cannot be loaded; see :class:`~pellucid.Embedder`.
    """

    model_name: str = Field(default="sentence-transformers/all-mpnet-base-v2", alias="model")
    """A Hub name, a short name, or a folder."""
    cache_folder: str | None = None
    """The folder where models are stored. ``SENTENCE_TRANSFORMERS_HOME`` sets it too."""
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Options of :class:`~pellucid.sentence_transformers.SentenceTransformer`: ``device``, ``revision``, ``token``,
    ``local_files_only``, ``prompts``, ``default_prompt_name``, ``truncate_dim``, …; and Pellucid's own: ``dtype``,
    ``engine``, ``threads``, ``cache``, ``max_tokens``, ``on_truncation``. ``trust_remote_code`` is accepted and changes
    nothing, because Pellucid never runs a model's code."""
    encode_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Options for documents: ``normalize_embeddings``, ``batch_size``, ``prompt``, ``prompt_name``, ``precision``,
    ``truncate_dim``, …"""
    query_encode_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Options for queries. If empty, those in ``encode_kwargs`` are used."""
    multi_process: bool = False
    """Accepted, but changes nothing, because one process already uses all of its threads."""
    show_progress: bool = False
    """Draw a progress bar, on a terminal or in a notebook."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), populate_by_name=True)

    _client: SentenceTransformer = PrivateAttr()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.model_kwargs.get("backend") == "ipex":
            warnings.warn("`backend='ipex'` is no longer supported; the default is used.", UserWarning, stacklevel=2)
            self.model_kwargs["backend"] = "torch"
        # The keys are checked before the model is loaded, so that a typing mistake does not wait for a download.
        check_values("model_kwargs", self.model_kwargs, _MODEL_KWARGS)
        self._encode_options("encode_kwargs")
        self._encode_options("query_encode_kwargs")
        self._client = SentenceTransformer(self.model_name, cache_folder=self.cache_folder, **self.model_kwargs)
        self._embed([], "encode_kwargs")  # This checks the values now, not at the first text.
        self._embed([], "query_encode_kwargs")

    def __eq__(self, other: object) -> bool:
        """True if the fields are the same. The model is loaded from them."""
        return isinstance(other, HuggingFaceEmbeddings) and self.model_dump() == other.model_dump()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts: one list of ``dimensions`` floats per text, in the order of the texts."""
        return self._embed(texts, "encode_kwargs")

    def embed_query(self, text: str) -> list[float]:
        """Embed one text as a list of ``dimensions`` floats."""
        return self._embed([text], "query_encode_kwargs" if self.query_encode_kwargs else "encode_kwargs")[0]

    def _embed(self, texts: list[str], field: str) -> list[list[float]]:
        # The model checks whether the texts are texts.
        texts = [text.replace("\n", " ") if isinstance(text, str) else text for text in as_list(texts)]
        options = self._encode_options(field)  # The field may have been assigned to.
        vectors: list[list[float]] = self._client.encode(
            texts, show_progress_bar=self.show_progress, **options
        ).tolist()
        return vectors

    def _encode_options(self, field: str) -> dict[str, Any]:
        """The options in a field, by name, for ``encode``.

        Raises:
            OptionError: one is not supported.
        """
        options: Mapping[str, Any] = getattr(self, field)
        if "show_progress_bar" in options:
            raise OptionError(f"{field}: for 'show_progress_bar', set HuggingFaceEmbeddings(show_progress=…).")
        check_values(field, options, _ENCODE_KWARGS)
        if not options.get("convert_to_tensor"):
            check_value(f"{field}: convert_to_numpy", options.get("convert_to_numpy"), (True, None))
        # The result is made of lists, so neither matters.
        return {name: value for name, value in options.items() if name not in ("convert_to_numpy", "convert_to_tensor")}
