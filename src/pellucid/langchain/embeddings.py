"""A drop-in for ``langchain_huggingface.HuggingFaceEmbeddings``.

``langchain_huggingface`` passes ``model_kwargs`` on to ``SentenceTransformer(…)`` and ``encode_kwargs`` to its
``encode(…)``. Pellucid supports their keys by name, and an unsupported key is an error that names it.
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

# Keys of model_kwargs that Embedder has under the same name: SentenceTransformer's, then ours.
_EMBEDDER_KEYS = (
    *("revision", "token", "local_files_only", "device"),
    *("dtype", "engine", "threads", "cache", "max_tokens", "on_truncation"),
)
_MODEL_KEYS = (*_EMBEDDER_KEYS, "prompts", "default_prompt_name", "truncate_dim", "use_auth_token")
# Keys that are supported only with these values. The values ask for nothing that we do not do anyway.
_ONLY_MODEL_VALUES: dict[str, tuple[Any, ...]] = {
    "backend": ("torch",),
    "trust_remote_code": (False, True, None),  # We never run a model's code, so the permission does not matter.
    "similarity_fn_name": (None, "cosine", "dot", "euclidean", "manhattan"),  # It does not affect vectors.
    **dict.fromkeys(("model_kwargs", "tokenizer_kwargs", "processor_kwargs", "config_kwargs"), (None, {})),
    **dict.fromkeys(("modules", "model_card_data"), (None,)),
}
# How many texts to work on at a time. Pellucid plans by tokens instead, so these change nothing.
_BATCH_SIZES = ("batch_size", "chunk_size")
_ENCODE_KEYS = ("prompt", "prompt_name", "normalize_embeddings", "truncate_dim", "precision", *_BATCH_SIZES)
_ONLY_ENCODE_VALUES: dict[str, tuple[Any, ...]] = {
    "output_value": ("sentence_embedding",),
    "convert_to_numpy": (True, None),
    "convert_to_tensor": (True, False, None),
    "device": (None, "cpu"),
    "pool": (None,),
    "processing_kwargs": (None, {}),
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
    """Options of the model: ``device``, ``revision``, ``token``, ``local_files_only``, ``prompts``,
    ``default_prompt_name``, ``truncate_dim``, …; and options that only :class:`~pellucid.Embedder` has: ``dtype``,
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

    _client: Embedder = PrivateAttr()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.model_kwargs.get("backend") == "ipex":
            warnings.warn("`backend='ipex'` is no longer supported; the default is used.", UserWarning, stacklevel=2)
            self.model_kwargs["backend"] = "torch"
        # The keys are checked before the model is loaded, so that a typing mistake does not wait for a download.
        _check_keys("model_kwargs", self.model_kwargs, _MODEL_KEYS, _ONLY_MODEL_VALUES)
        _check_keys("encode_kwargs", self.encode_kwargs, _ENCODE_KEYS, _ONLY_ENCODE_VALUES)
        _check_keys("query_encode_kwargs", self.query_encode_kwargs, _ENCODE_KEYS, _ONLY_ENCODE_VALUES)
        options = {key: value for key, value in self.model_kwargs.items() if key in _EMBEDDER_KEYS}
        if options.get("device", "cpu") is None:
            options["device"] = "cpu"
        if (token := self.model_kwargs.get("use_auth_token")) is not None:
            if options.get("token") is not None:
                raise OptionError("model_kwargs: give 'token' alone; 'use_auth_token' is its old name.")
            warnings.warn("`use_auth_token` is deprecated; use `token` instead.", FutureWarning, stacklevel=2)
            options["token"] = token
        prompts = self.model_kwargs.get("prompts") or {}
        if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
            raise OptionError("model_kwargs: 'prompts' must be a dict of texts.")
        self._client = Embedder(self.model_name, cache_folder=self.cache_folder, **options)
        for field in ("encode_kwargs", "query_encode_kwargs"):
            self._embed([], field)  # This checks the values now, not at the first text.

    def __eq__(self, other: object) -> bool:
        """True if the fields are the same. The embedder is made from them."""
        return isinstance(other, HuggingFaceEmbeddings) and self.model_dump() == other.model_dump()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts: one list of ``dimensions`` floats per text, in the order of the texts."""
        return self._embed(texts, "encode_kwargs")

    def embed_query(self, text: str) -> list[float]:
        """Embed one text as a list of ``dimensions`` floats."""
        return self._embed([text], "query_encode_kwargs" if self.query_encode_kwargs else "encode_kwargs")[0]

    def _embed(self, texts: list[str], field: str) -> list[list[float]]:
        options: dict[str, Any] = getattr(self, field)
        _check_keys(field, options, _ENCODE_KEYS, _ONLY_ENCODE_VALUES)  # The field may have been assigned to.
        truncate_dim = _first_given(options.get("truncate_dim"), self.model_kwargs.get("truncate_dim"))
        if isinstance(truncate_dim, numbers.Integral) and int(truncate_dim) > self._client.dimensions:
            truncate_dim = None  # As in sentence-transformers, more dimensions than there are cut nothing.
        # The Embedder checks whether the texts are texts.
        texts = [text.replace("\n", " ") if isinstance(text, str) else text for text in as_list(texts)]
        vectors: list[list[float]] = self._client.embed_documents(
            texts,
            prompt=self._prompt(options),
            normalize=True if options.get("normalize_embeddings") else None,
            truncate_dim=truncate_dim,
            output_dtype=_first_given(options.get("precision"), "float32"),
            show_progress=self.show_progress,
        ).tolist()
        return vectors

    def _prompt(self, options: Mapping[str, Any]) -> str:
        """Choose a prompt as ``SentenceTransformer.encode`` does: by ``prompt``, ``prompt_name``, default, or none."""
        prompt: str | None = options.get("prompt")
        if prompt is not None:
            return prompt
        spec = self._client.spec
        own: dict[str, str | None] = self.model_kwargs.get("prompts") or {}
        prompts = {"query": "", "document": "", **dict.fromkeys(own, ""), **spec.prompts}
        prompts |= {name: text for name, text in own.items() if text is not None}
        name = _first_given(
            options.get("prompt_name"), self.model_kwargs.get("default_prompt_name"), spec.default_prompt_name
        )
        if name is not None and name not in prompts:
            raise OptionError(f"{spec.name} has no prompt {name!r}: its prompts are {', '.join(map(repr, prompts))}.")
        return prompts[name] if name is not None else ""


def _first_given(*values: Any) -> Any:
    """The first value that is not None."""
    return next((value for value in values if value is not None), None)


def _check_keys(
    field: str, options: Mapping[str, Any], keys: tuple[str, ...], only_values: Mapping[str, tuple[Any, ...]]
) -> None:
    """Refuse an unsupported key or value. Nothing is ignored.

    Args:
        field: the name of the field, for messages.
        options: the field's value.
        keys: the keys that are supported with any value.
        only_values: keys that are supported with some values, and these values.

    Raises:
        OptionError: a key, its value, or a batch size is not supported.
    """
    for key, value in options.items():
        if key in keys or (key == "convert_to_numpy" and options.get("convert_to_tensor")):
            continue
        if key == "show_progress_bar":
            raise OptionError(f"{field}: for 'show_progress_bar', set HuggingFaceEmbeddings(show_progress=…).")
        if key not in only_values:
            known = sorted({*keys, *only_values})
            similar = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f" Did you mean {similar[0]!r}?" if similar else ""
            raise OptionError(f"{field}: {key!r} is not supported.{hint} Supported: {', '.join(known)}.")
        if value not in only_values[key]:
            allowed = " or ".join(map(repr, only_values[key]))
            raise OptionError(f"{field}: {key}={value!r} is not supported, only {allowed}.")
    for key in _BATCH_SIZES:
        size = options.get(key, 1)
        if isinstance(size, bool) or not isinstance(size, numbers.Integral) or int(size) < 1:
            raise OptionError(f"{field}: {key}={size!r} must be a whole number of at least 1.")
