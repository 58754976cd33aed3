"""``SentenceTransformer``: a dense vector for each text, called as in sentence-transformers 6.2."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np

from pellucid.checks import check_choice, check_integer
from pellucid.embedder import Embedder
from pellucid.encoder.encoder import Dtype, EngineName
from pellucid.encoder.prompts import DOCUMENT_PROMPTS, QUERY_PROMPTS
from pellucid.errors import OptionError, warn
from pellucid.layers.finish import EachToken
from pellucid.model.load import read_settings
from pellucid.sentence_transformers.arguments import choose_dtype, takes_older_arguments, warn_of_older_name
from pellucid.sentence_transformers.base import DropIn, check_creation
from pellucid.sentence_transformers.quantization import PRECISIONS, quantize_embeddings
from pellucid.sentence_transformers.similarity import DENSE, SimilarityFunction, similarity_name
from pellucid.sentence_transformers.tensors import Array, import_torch
from pellucid.text.checks import as_list
from pellucid.text.truncation import OnTruncation, check_truncation, warn_about_truncation
from pellucid.types import TokenBatch

__all__ = ["SentenceTransformer"]

_SENTENCE, _TOKENS = "sentence_embedding", "token_embeddings"


class SentenceTransformer(DropIn[Embedder]):
    """A model that gives each text a vector, called as sentence-transformers' class of this name, without PyTorch.

    Args:
        model_name_or_path: a Hub name, a name of the organisation ``sentence-transformers``, or a folder.
        modules: only None.
        device: ``"cpu"``, or PyTorch's name of a GPU. None is the CPU: a GPU is used only if you ask for it.
        prompts: more prompts, or others than the model's, by name.
        default_prompt_name: the name of the prompt that ``encode`` uses if a call names none.
        cache_folder: as for :class:`~pellucid.encoder.encoder.Encoder`, like the next four.
        trust_remote_code: accepted without effect, because Pellucid never runs a model's code.
        revision: a branch, tag or commit of the model on the Hub.
        local_files_only: never use the network.
        token: the access token for private models.
        use_auth_token: the older name of ``token``.
        model_kwargs: ``dtype`` (older name: ``torch_dtype``); ``attn_implementation`` has no effect.
        processor_kwargs: ``model_max_length``, which is ``max_tokens``.
        config_kwargs: only None or {}.
        model_card_data: only None.
        backend: only ``"torch"``, which here means the engine that ``engine`` names.
        similarity_fn_name: "cosine", "dot", "euclidean" or "manhattan"; None for what the model's files say, or cosine.
        truncate_dim: keep only this many leading dimensions, unless a call says otherwise.
        dtype: Pellucid's own option, like the rest; see :class:`~pellucid.Embedder`.
        engine: the engine that does the arithmetic.
        threads: the number of threads.
        cache: a file that keeps vectors, so that none is computed twice.
        max_tokens: read at most this many tokens of a text, instead of what the model's files say.
        on_truncation: what to do with texts that are too long.

    Attributes:
        prompts: the prompts by name. "query" and "document" are always there.
        default_prompt_name: the name of the prompt that ``encode`` uses if a call names none.
        truncate_dim: how many leading dimensions to keep; None for all.

    Raises:
        OptionError: an option's value is not supported.
        ModelError: the model does not exist, its download failed, or its files are broken or unsupported.
    """

    _built_in_prompts = ("query", "document")

    @takes_older_arguments({"tokenizer_kwargs": "processor_kwargs"})
    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str] | None = None,
        *,
        modules: None = None,
        device: str | None = None,
        prompts: Mapping[str, str | None] | None = None,
        default_prompt_name: str | None = None,
        cache_folder: str | os.PathLike[str] | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        use_auth_token: bool | str | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        processor_kwargs: Mapping[str, Any] | None = None,
        config_kwargs: Mapping[str, Any] | None = None,
        model_card_data: None = None,
        backend: str = "torch",
        similarity_fn_name: str | SimilarityFunction | None = None,
        truncate_dim: int | None = None,
        dtype: Dtype | None = None,
        engine: EngineName = "auto",
        threads: int | None = None,
        cache: str | os.PathLike[str] | None = None,
        max_tokens: int | None = None,
        on_truncation: OnTruncation = "warn",
    ) -> None:
        name = check_creation(
            model_name_or_path,
            modules=modules,
            model_card_data=model_card_data,
            trust_remote_code=trust_remote_code,
            backend=backend,
            model_kwargs=model_kwargs,
            processor_kwargs=processor_kwargs,
            config_kwargs=config_kwargs,
        )
        if use_auth_token is not None:
            if token is not None:
                raise OptionError("token and use_auth_token are both given. Give token.")
            warn(FutureWarning("use_auth_token is the older name of token."))
            token = use_auth_token
        self._options = {
            "device": "cpu" if device is None else str(device),
            "dtype": choose_dtype(dtype, model_kwargs or {}),
            "engine": engine,
            "threads": threads,
            "cache": cache,
            "on_truncation": on_truncation,
        }
        chosen = None if similarity_fn_name is None else similarity_name(similarity_fn_name)
        if truncate_dim is not None:
            _check_truncate_dim(truncate_dim)
        self._task = Embedder(
            name,
            max_tokens=(processor_kwargs or {}).get("model_max_length") if max_tokens is None else max_tokens,
            token=token,
            revision=revision,
            cache_folder=cache_folder,
            local_files_only=bool(local_files_only),
            **self._options,
        )
        self._set_prompts(prompts, default_prompt_name)
        saved = read_settings(self.embedder.files).values
        if chosen is None and (saved_name := saved.get("similarity_fn_name")) in DENSE:
            chosen = saved_name
        self._similarity_fn_name = DENSE[0] if chosen is None else chosen
        self.truncate_dim: int | None = saved.get("truncate_dim") if truncate_dim is None else truncate_dim

    def __repr__(self) -> str:
        return f"SentenceTransformer({self._short_name()}, dimensions={self.get_embedding_dimension()})"

    @property
    def embedder(self) -> Embedder:
        """The :class:`~pellucid.Embedder` behind it."""
        return self._task

    # Texts to vectors

    @takes_older_arguments({"sentences": "inputs"})
    def encode(
        self,
        inputs: Any,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: str | None = _SENTENCE,
        precision: str | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | Sequence[str] | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: Mapping[str, Any] | None = None,
        chunk_size: int | None = None,
        task: str | None = None,
        processing_kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Embed texts.

        Args:
            inputs: a list of texts, or one text.
            prompt_name: put the prompt of this name before each text.
            prompt: put this before each text; "" for no prompt.
            batch_size: checked, but without effect: Pellucid groups texts by their number of tokens.
            show_progress_bar: draw a progress bar, on a terminal or in a notebook. None is False.
            output_value: "sentence_embedding"; "token_embeddings" for a vector of each token; None for a dict of both,
                and of the tokens.
            precision: "float32", or what :func:`~pellucid.sentence_transformers.util.quantize_embeddings` makes.
            convert_to_numpy: False for a list of tensors.
            convert_to_tensor: True for one tensor.
            device: only that of the model; or a list of it.
            normalize_embeddings: scale the vectors to unit length.
            truncate_dim: keep only this many leading dimensions.
            pool: without effect, because one process uses all cores.
            chunk_size: without effect, too.
            task: "query" for queries. It makes a difference for a model that reads them in another way than documents.
            processing_kwargs: only None or {}.

        Returns:
            ``[n, d]``; ``[d]`` for one text. For "token_embeddings", a list of ``[t, hidden]``; for None, a list of
            dicts; for one text, only its own. They are arrays; tensors only if you ask for them.

        Raises:
            TextTypeError, TextError: a text cannot be used; its position is given. Nothing was computed.
            OptionError: an option's value is not supported.
        """
        self._check_call(batch_size, device, pool, chunk_size, processing_kwargs)
        check_choice("output_value", output_value, (_SENTENCE, _TOKENS, None))
        check_choice("precision", precision, (*PRECISIONS, None))
        single = isinstance(inputs, str)
        texts = [inputs] if single else as_list(inputs, "inputs", hint="")
        chosen = self._prompt(prompt, prompt_name)
        width = self._width(self.truncate_dim if truncate_dim is None else truncate_dim)
        if output_value != _SENTENCE:
            results = self._of_tokens(texts, chosen, output_value, width)
            results = [_to_tensors(result) for result in results] if convert_to_tensor else results
            return results[0] if single else results
        vectors = (self.embedder.for_queries if task == "query" else self.embedder).embed_documents(
            texts,
            prompt=chosen,
            normalize=True if normalize_embeddings else None,
            truncate_dim=width,
            show_progress=bool(show_progress_bar),
        )
        rows = quantize_embeddings(vectors, precision or "float32") if texts else np.array([])  # float64[0], as there.
        if convert_to_tensor or not convert_to_numpy:
            torch = import_torch("convert_to_tensor=True" if convert_to_tensor else "convert_to_numpy=False")
            tensor = torch.from_numpy(rows if texts else rows.astype(np.float32)).to(self.device)
            rows = tensor if convert_to_tensor else list(tensor)
        return rows[0] if single else rows

    @takes_older_arguments({"sentences": "inputs"})
    @functools.wraps(encode, assigned=())  # So its help shows the arguments of encode.
    def encode_query(
        self, inputs: Any, prompt_name: str | None = None, prompt: str | None = None, *arguments: Any, **options: Any
    ) -> Any:
        """Embed queries: like :meth:`encode`, but the default prompt is the one called "query"."""
        name = self._own_prompt(QUERY_PROMPTS, prompt_name, prompt)
        return self.encode(inputs, name, prompt, *arguments, **{"task": "query", **options})

    @takes_older_arguments({"sentences": "inputs"})
    @functools.wraps(encode, assigned=())  # So its help shows the arguments of encode.
    def encode_document(
        self, inputs: Any, prompt_name: str | None = None, prompt: str | None = None, *arguments: Any, **options: Any
    ) -> Any:
        """Embed documents: like :meth:`encode`, but the default prompt is the one called "document"."""
        name = self._own_prompt(DOCUMENT_PROMPTS, prompt_name, prompt)
        return self.encode(inputs, name, prompt, *arguments, **options)

    def encode_multi_process(
        self,
        sentences: Any,
        pool: Mapping[str, Any],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        chunk_size: int | None = None,
        show_progress_bar: bool | None = None,
        precision: str = "float32",
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
    ) -> Array:
        """The older way to use a pool. :meth:`encode` takes one, and has the same options."""
        warn_of_older_name("encode_multi_process", "encode")
        vectors: Array = self.encode(
            sentences,
            prompt_name=prompt_name,
            prompt=prompt,
            batch_size=batch_size,
            show_progress_bar=show_progress_bar,
            precision=precision,
            normalize_embeddings=normalize_embeddings,
            truncate_dim=truncate_dim,
            pool=pool,
            chunk_size=chunk_size,
        )
        return vectors

    def preprocess(self, inputs: Sequence[str], prompt: str | None = None) -> dict[str, Array]:
        """Cut texts into tokens.

        Args:
            inputs: texts.
            prompt: goes before each text.

        Returns:
            ``input_ids`` and ``attention_mask``, and ``token_type_ids`` for a model that has segments: ``int64[n, t]``,
            filled up at the end of the shorter texts. For no texts, nothing.
        """
        texts = as_list(inputs, "inputs")
        tokens, _ = self.tokenizer.tokenize(texts, prompt or "")
        features = self._features(tokens) if texts else {}
        return {name: _padded(rows, padding) for name, (rows, padding) in features.items()}

    def tokenize(self, texts: Sequence[str]) -> dict[str, Array]:
        """The older name of :meth:`preprocess`."""
        return self.preprocess(texts)

    # Vectors beside each other

    @property
    def similarity_fn_name(self) -> str:
        """The name of the similarity function: "cosine", "dot", "euclidean" or "manhattan". You may set it."""
        return self._similarity_fn_name

    @similarity_fn_name.setter
    def similarity_fn_name(self, value: str | SimilarityFunction | None) -> None:
        self._similarity_fn_name = DENSE[0] if value is None else similarity_name(value)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """The similarity of each vector with each other: ``[n, m]``. An array, or a tensor if you give one."""
        return SimilarityFunction.to_similarity_fn(self._similarity_fn_name)(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """The similarity of vectors at the same place: ``[n]``. An array, or a tensor if you give one."""
        return SimilarityFunction.to_similarity_pairwise_fn(self._similarity_fn_name)(embeddings1, embeddings2)

    # The length of a vector

    def get_embedding_dimension(self) -> int:
        """The length of a vector that :meth:`encode` gives."""
        return self._width(self.truncate_dim) or self.embedder.dimensions

    def get_sentence_embedding_dimension(self) -> int:
        """The older name of :meth:`get_embedding_dimension`."""
        return self.get_embedding_dimension()

    @contextmanager
    def truncate_embeddings(self, truncate_dim: int | None) -> Iterator[None]:
        """Keep only this many leading dimensions, in the block of this ``with``."""
        before = self.truncate_dim
        self.truncate_dim = truncate_dim
        try:
            yield
        finally:
            self.truncate_dim = before

    @contextmanager
    def truncate_sentence_embeddings(self, truncate_dim: int | None) -> Iterator[None]:
        """The older name of :meth:`truncate_embeddings`."""
        with self.truncate_embeddings(truncate_dim):
            yield

    # What there is none of

    def get_model_kwargs(self) -> list[str]:
        """The names of further options of :meth:`encode` that the model has: none."""
        return []

    def __getitem__(self, key: object) -> NoReturn:
        """Refuse to give one of the modules.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "A SentenceTransformer of Pellucid has no modules of PyTorch. Use max_seq_length, tokenizer, config and "
            "get_embedding_dimension(); or embedder, which is Pellucid's own class."
        )

    def __call__(self, *_arguments: Any, **_options: Any) -> NoReturn:
        """Refuse to run as a module of PyTorch does.

        Raises:
            TypeError: always.
        """
        raise TypeError("A SentenceTransformer of Pellucid is no module of PyTorch. Use encode(texts).")

    def _width(self, truncate_dim: int | None) -> int | None:
        """How many dimensions to keep; None for all. More than there are cut nothing, as there."""
        if truncate_dim is None or _check_truncate_dim(truncate_dim) >= self.embedder.dimensions:
            return None
        return truncate_dim

    def _of_tokens(self, texts: list[str], prompt: str, output_value: str | None, width: int | None) -> list[Any]:
        """What ``output_value`` asks for, other than the vectors alone."""
        embedder = self.embedder
        tokens, counts = self.tokenizer.tokenize(texts, prompt)
        truncation = check_truncation(counts, embedder.max_tokens, embedder.on_truncation, 0)
        each = embedder.encoder.run(tokens, EachToken())
        EachToken().check(each, int)
        warn_about_truncation(truncation, embedder.max_tokens, embedder.on_truncation)
        if output_value == _TOKENS:
            return list(each)
        finish = embedder.finish(self.tokenizer.prompt_tokens(prompt), truncate_dim=width)
        columns = {name: rows for name, (rows, _) in self._features(tokens).items()}
        columns |= {_TOKENS: list(each), _SENTENCE: list(finish(each.vectors, tokens))}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _features(self, tokens: TokenBatch) -> dict[str, tuple[list[Array], int]]:
        """What PyTorch's models are called with: for each name the rows of the texts, and what to fill them up with."""
        ids = [row.astype(np.int64) for row in tokens]
        features = {
            "input_ids": (ids, self._padding_id),
            "attention_mask": ([np.ones_like(row) for row in ids], 0),
        }
        if self.embedder.spec.encoder.embedding.token_types > 1:
            features["token_type_ids"] = ([np.zeros_like(row) for row in ids], 0)
        return features

    @functools.cached_property
    def _padding_id(self) -> int:
        padding = self._config_values().get("pad_token_id")
        return padding if isinstance(padding, int) else 0


def _check_truncate_dim(truncate_dim: int) -> int:
    return check_integer("truncate_dim", truncate_dim, 1, sys.maxsize, "of at least 1, or None for all dimensions")


def _padded(rows: Sequence[Array], padding: int) -> Array:
    """Rows of different lengths as one array, ``[n, t]``, with ``padding`` after the shorter ones."""
    padded = np.full((len(rows), max(map(len, rows))), padding)
    for line, row in zip(padded, rows, strict=True):
        line[: len(row)] = row
    return padded


def _to_tensors(result: Array | dict[str, Array]) -> Any:
    torch = import_torch("convert_to_tensor=True")
    if isinstance(result, dict):
        return {name: torch.from_numpy(array) for name, array in result.items()}
    return torch.from_numpy(result)
