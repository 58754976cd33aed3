"""The drop-in for ``langchain_huggingface.HuggingFaceEmbeddings``: change the import, keep every vector.

::

    from pellucid.langchain import HuggingFaceEmbeddings

Same fields, same defaults, same ``repr``, same results. What there goes to ``SentenceTransformer(…)`` through
``model_kwargs`` and to its ``encode(…)`` through ``encode_kwargs`` is served here by name; a key that cannot be served
is an error that names it. ``langchain-core`` and ``pydantic`` are imported here and nowhere else.
"""

from __future__ import annotations

import difflib
import numbers
import warnings
from collections.abc import Mapping
from typing import Any

try:
    from langchain_core.embeddings import Embeddings
    from pydantic import BaseModel, ConfigDict, Field, PrivateAttr
except ImportError as error:
    from pellucid.errors import MissingExtraError

    raise MissingExtraError("langchain-core", "langchain") from error

from pellucid.embedder import Embedder
from pellucid.errors import OptionError
from pellucid.text.checks import as_list

# Keys of model_kwargs that Embedder has under the same name: first those of SentenceTransformer, then ours.
_OURS = ("dtype", "engine", "threads", "cache", "max_tokens", "on_truncation")
_FOR_EMBEDDER = ("revision", "token", "local_files_only", "device", *_OURS)
# Keys that are served only at these values, where serving them means doing nothing else than we do anyway.
_MODEL_AT: dict[str, tuple[Any, ...]] = {
    "backend": ("torch",),
    "trust_remote_code": (False, True, None),  # A permission that is never needed: no code of a model is run.
    "similarity_fn_name": (None, "cosine", "dot", "euclidean", "manhattan"),  # Of no consequence to vectors.
    **dict.fromkeys(("model_kwargs", "tokenizer_kwargs", "processor_kwargs", "config_kwargs"), (None, {})),
    **dict.fromkeys(("modules", "model_card_data"), (None,)),
}
_ENCODE_AT: dict[str, tuple[Any, ...]] = {
    "output_value": ("sentence_embedding",),
    "convert_to_numpy": (True, None),
    "convert_to_tensor": (True, False, None),
    "device": (None, "cpu"),
    "pool": (None,),
    "processing_kwargs": (None, {}),
}
# How much is worked on at a time, which is settled here by tokens.
_COUNTS = ("batch_size", "chunk_size")
_MODEL_OWN = ("prompts", "default_prompt_name", "truncate_dim", "use_auth_token")
_ENCODE_OWN = ("prompt", "prompt_name", "normalize_embeddings", "truncate_dim", "precision", *_COUNTS)


class HuggingFaceEmbeddings(BaseModel, Embeddings):  # noqa: PLW1641  as there, it may change and has no hash
    """Sentence-transformers models for LangChain, without PyTorch.

    Constructing one finds the model's files (downloading them only if no copy is on disk) and loads them. Line breaks
    in a text become spaces, as there.

    Example:
        >>> embeddings = HuggingFaceEmbeddings(          # doctest: +SKIP
        ...     model_name="sentence-transformers/all-MiniLM-L6-v2",
        ...     encode_kwargs={"normalize_embeddings": True},
        ... )
        >>> len(embeddings.embed_query("Hello"))         # doctest: +SKIP
        384

    Raises:
        OptionError: a key of ``model_kwargs``, ``encode_kwargs`` or ``query_encode_kwargs`` cannot be served.
        ModelError: as :class:`~pellucid.Embedder`.
    """

    model_name: str = Field(default="sentence-transformers/all-mpnet-base-v2", alias="model")
    """A Hub name, a short name, or a folder."""
    cache_folder: str | None = None
    """Where models are stored. ``SENTENCE_TRANSFORMERS_HOME`` sets it too."""
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Options of the model: ``device``, ``revision``, ``token``, ``local_files_only``, ``prompts``,
    ``default_prompt_name``, ``truncate_dim``, …; and of :class:`~pellucid.Embedder`: ``dtype``, ``engine``,
    ``threads``, ``cache``, ``max_tokens``, ``on_truncation``. ``trust_remote_code`` may be true or false and changes
    nothing: no code of a model is ever run."""
    encode_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Options for documents: ``normalize_embeddings``, ``batch_size``, ``prompt``, ``prompt_name``, ``precision``,
    ``truncate_dim``, …"""
    query_encode_kwargs: dict[str, Any] = Field(default_factory=dict)
    """The same for queries; if empty, ``encode_kwargs`` are used."""
    multi_process: bool = False
    """Accepted, and changes nothing: one process already works with every thread it is given."""
    show_progress: bool = False
    """Draw a progress bar, if standard error is a terminal."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), populate_by_name=True)

    _client: Embedder = PrivateAttr()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.model_kwargs.get("backend") == "ipex":
            warnings.warn("`backend='ipex'` is no longer supported; the default is used.", UserWarning, stacklevel=2)
            self.model_kwargs["backend"] = "torch"
        # Judged before the model is loaded, so that a typing mistake does not wait for a download.
        _check("model_kwargs", self.model_kwargs, (*_FOR_EMBEDDER, *_MODEL_OWN), _MODEL_AT)
        _check("encode_kwargs", self.encode_kwargs, _ENCODE_OWN, _ENCODE_AT)
        _check("query_encode_kwargs", self.query_encode_kwargs, _ENCODE_OWN, _ENCODE_AT)
        options = {key: value for key, value in self.model_kwargs.items() if key in _FOR_EMBEDDER}
        if options.get("device", "cpu") is None:
            options["device"] = "cpu"
        if (token := self.model_kwargs.get("use_auth_token")) is not None:
            if options.get("token") is not None:
                raise OptionError("model_kwargs: give 'token' alone, not 'use_auth_token' too, its older name.")
            warnings.warn("`use_auth_token` is deprecated; it is `token` now.", FutureWarning, stacklevel=2)
            options["token"] = token
        prompts = self.model_kwargs.get("prompts") or {}
        if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
            raise OptionError("model_kwargs: 'prompts' must be a dict of texts.")
        self._client = Embedder(self.model_name, cache_folder=self.cache_folder, **options)
        for field in ("encode_kwargs", "query_encode_kwargs"):
            self._embed([], field)  # Judges the values too, now and not at the first text.

    def __eq__(self, other: object) -> bool:
        """Whether the fields are the same; the client is made from them."""
        return isinstance(other, HuggingFaceEmbeddings) and self.model_dump() == other.model_dump()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts: a list of ``dimensions`` floats for each, in their order."""
        return self._embed(texts, "encode_kwargs")

    def embed_query(self, text: str) -> list[float]:
        """Embed one text: a list of ``dimensions`` floats."""
        return self._embed([text], "query_encode_kwargs" if self.query_encode_kwargs else "encode_kwargs")[0]

    def _embed(self, texts: list[str], field: str) -> list[list[float]]:
        options: dict[str, Any] = getattr(self, field)
        _check(field, options, _ENCODE_OWN, _ENCODE_AT)  # Fields may be assigned to.
        truncate_dim = _first(options.get("truncate_dim"), self.model_kwargs.get("truncate_dim"))
        if isinstance(truncate_dim, numbers.Integral) and int(truncate_dim) > self._client.dimensions:
            truncate_dim = None  # More than there are: there, too, that cuts nothing.
        # What is no text is for the Embedder to judge.
        texts = [text.replace("\n", " ") if isinstance(text, str) else text for text in as_list(texts)]
        vectors: list[list[float]] = self._client.embed_documents(
            texts,
            prompt=self._prompt(options),
            normalize=True if options.get("normalize_embeddings") else None,
            truncate_dim=truncate_dim,
            output_dtype=_first(options.get("precision"), "float32"),
            show_progress=self.show_progress,
        ).tolist()
        return vectors

    def _prompt(self, options: Mapping[str, Any]) -> str:
        """The prompt by the rule of ``SentenceTransformer.encode``: the given, the named, the default, or none."""
        prompt: str | None = options.get("prompt")
        if prompt is not None:
            return prompt
        spec = self._client.spec
        given: dict[str, str | None] = self.model_kwargs.get("prompts") or {}
        prompts = {"query": "", "document": "", **dict.fromkeys(given, ""), **spec.prompts}
        prompts |= {name: text for name, text in given.items() if text is not None}
        name = _first(
            options.get("prompt_name"), self.model_kwargs.get("default_prompt_name"), spec.default_prompt_name
        )
        if name is not None and name not in prompts:
            raise OptionError(f"{spec.name} has no prompt {name!r}: its prompts are {', '.join(map(repr, prompts))}.")
        return prompts[name] if name is not None else ""


def _first(*values: Any) -> Any:
    """The first that is not None."""
    return next((value for value in values if value is not None), None)


def _check(
    field: str, options: Mapping[str, Any], served: tuple[str, ...], served_at: Mapping[str, tuple[Any, ...]]
) -> None:
    """Refuse a key, or a value of one, that we cannot serve. Nothing is ignored."""
    for key, value in options.items():
        if key in served or (key == "convert_to_numpy" and options.get("convert_to_tensor")):
            continue
        if key == "show_progress_bar":
            raise OptionError(f"{field}: 'show_progress_bar' is the field show_progress of HuggingFaceEmbeddings.")
        if key not in served_at:
            keys = sorted({*served, *served_at})
            near = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise OptionError(f"{field}: {key!r} cannot be served{hint} Served: {', '.join(keys)}.")
        if value not in served_at[key]:
            at = " or ".join(map(repr, served_at[key]))
            raise OptionError(f"{field}: {key}={value!r} cannot be served, only {at}.")
    for key in _COUNTS:
        count = options.get(key, 1)
        if isinstance(count, bool) or not isinstance(count, numbers.Integral) or int(count) < 1:
            raise OptionError(f"{field}: {key}={count!r} must be a whole number of at least 1.")
