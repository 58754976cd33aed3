"""``SparseEncoder``: a sparse vector for each text, called as in sentence-transformers 6.2."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pellucid.encoder.encoder import Dtype, EngineName
from pellucid.encoder.prompts import DOCUMENT_PROMPTS, QUERY_PROMPTS
from pellucid.errors import InputError
from pellucid.model.load import read_settings
from pellucid.model.spec import AutoEncoderSpec
from pellucid.sentence_transformers.arguments import choose_dtype, takes_older_arguments, warn_of_older_name
from pellucid.sentence_transformers.base import DropIn, check_creation
from pellucid.sentence_transformers.similarity import DENSE, SimilarityFunction, similarity_name
from pellucid.sentence_transformers.tensors import as_array, import_torch, is_tensor
from pellucid.sparse_embedder import SparseEmbedder
from pellucid.sparse_vectors import SparseVectors
from pellucid.text.checks import as_list
from pellucid.text.truncation import OnTruncation

__all__ = ["SparseEncoder"]


class SparseEncoder(DropIn[SparseEmbedder]):
    """A model that gives each text a sparse vector, called as sentence-transformers' class of this name.

    PyTorch has a type for sparse vectors, and NumPy has none. So without ``convert_to_tensor``, the result is
    :class:`~pellucid.SparseVectors`, and no PyTorch is needed.

    Args:
        model_name_or_path: a Hub name, or a folder.
        modules: only None.
        device: ``"cpu"``, or PyTorch's name of a GPU. None is the CPU: a GPU is used only if you ask for it.
        prompts: more prompts, or others than the model's, by name.
        default_prompt_name: the name of the prompt that ``encode`` uses if a call names none.
        cache_folder: as for :class:`~pellucid.encoder.encoder.Encoder`, like the next four.
        trust_remote_code: accepted without effect, because Pellucid never runs a model's code.
        revision: a branch, tag or commit of the model on the Hub.
        local_files_only: never use the network.
        token: the access token for private models.
        model_kwargs: ``dtype`` (older name: ``torch_dtype``); ``attn_implementation`` has no effect.
        processor_kwargs: ``model_max_length``, which is ``max_tokens``.
        config_kwargs: only None or {}.
        model_card_data: only None.
        backend: only ``"torch"``, which here means the engine that ``engine`` names.
        similarity_fn_name: "dot", "cosine", "euclidean" or "manhattan"; None for what the model's files say, or dot.
        max_active_dims: keep only so many numbers of a vector; None for what the model's files say, or all.
        dtype: Pellucid's own option, like the rest; see :class:`~pellucid.SparseEmbedder`.
        engine: the engine that does the arithmetic.
        threads: the number of threads.
        cache: a file that keeps vectors, so that none is computed twice.
        max_tokens: read at most this many tokens of a text, instead of what the model's files say.
        on_truncation: what to do with texts that are too long.

    Attributes:
        prompts: the prompts by name. "query" and "document" are always there.
        default_prompt_name: the name of the prompt that ``encode`` uses if a call names none.
        max_active_dims: how many numbers of a vector to keep; None for all.

    Raises:
        OptionError: an option's value is not supported.
        CacheError: the cache file cannot be used.
        ModelError: the model does not exist, its download failed, or its files are broken or unsupported.
    """

    _built_in_prompts = ("query", "document")

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
        model_kwargs: Mapping[str, Any] | None = None,
        processor_kwargs: Mapping[str, Any] | None = None,
        config_kwargs: Mapping[str, Any] | None = None,
        model_card_data: None = None,
        backend: str = "torch",
        similarity_fn_name: str | SimilarityFunction | None = None,
        max_active_dims: int | None = None,
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
        self._options = {
            "device": "cpu" if device is None else str(device),
            "dtype": choose_dtype(dtype, model_kwargs or {}),
            "engine": engine,
            "threads": threads,
            "cache": cache,
            "max_active_dims": max_active_dims,
            "on_truncation": on_truncation,
        }
        chosen = None if similarity_fn_name is None else similarity_name(similarity_fn_name)
        self._task = SparseEmbedder(
            name,
            max_tokens=(processor_kwargs or {}).get("model_max_length") if max_tokens is None else max_tokens,
            token=token,
            revision=revision,
            cache_folder=cache_folder,
            local_files_only=bool(local_files_only),
            **self._options,
        )
        self._set_prompts(prompts, default_prompt_name)
        if chosen is None:
            saved = read_settings(self.embedder.files).values.get("similarity_fn_name")
            chosen = saved if saved in DENSE else "dot"
        self._similarity_fn_name = chosen
        last = self.embedder.spec.stages[-1] if self.embedder.spec.stages else None
        kept = last.kept if isinstance(last, AutoEncoderSpec) else None
        self.max_active_dims = self.embedder.max_active_dims or kept

    def __repr__(self) -> str:
        return f"SparseEncoder({self._short_name()}, dimensions={self.get_embedding_dimension()})"

    @property
    def embedder(self) -> SparseEmbedder:
        """The :class:`~pellucid.SparseEmbedder` behind it."""
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
        convert_to_tensor: bool | None = None,
        convert_to_sparse_tensor: bool = True,
        save_to_cpu: bool = False,
        device: str | Sequence[str] | None = None,
        max_active_dims: int | None = None,
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
            convert_to_tensor: True for one tensor; False for a list with a result for each text; None, the default, for
                one result without PyTorch.
            convert_to_sparse_tensor: False for dense vectors: a tensor if ``convert_to_tensor``, else an array.
            save_to_cpu: move tensors to the CPU.
            device: only that of the model; or a list of it.
            max_active_dims: keep only so many numbers of a vector.
            pool: without effect, because one process uses all cores.
            chunk_size: without effect, too.
            task: "query" for queries. It makes a difference for a model that reads them in another way than documents.
            processing_kwargs: only None or {}.

        Returns:
            :class:`~pellucid.SparseVectors`, also for one text; or what the options say. A tensor or an array is
            ``[n, d]``, or ``[d]`` for one text.

        Raises:
            TextTypeError, TextError: a text cannot be used; its position is given. Nothing was computed.
            OptionError: an option's value is not supported.
        """
        self._check_call(batch_size, device, pool, chunk_size, processing_kwargs)
        single = isinstance(inputs, str)
        texts = [inputs] if single else as_list(inputs, "inputs", hint="")
        chosen = self._prompt(prompt, prompt_name)
        dims = self.max_active_dims if max_active_dims is None else max_active_dims
        if task == "query" and self.embedder.reads_queries_apart and texts:
            vectors = SparseVectors.concatenate(
                [self.embedder.embed_query(text, prompt=chosen, max_active_dims=dims) for text in texts]
            )
        else:
            vectors = self.embedder.embed_documents(
                texts, prompt=chosen, max_active_dims=dims, show_progress=bool(show_progress_bar)
            )
        if convert_to_tensor is False:
            each = list(vectors) if convert_to_sparse_tensor else list(vectors.to_dense())
            return each[0] if single else each
        if convert_to_tensor is None:
            if convert_to_sparse_tensor:
                return vectors
            return vectors.to_dense()[0] if single else vectors.to_dense()
        tensor = _to_tensor(vectors, sparse=convert_to_sparse_tensor)
        if not save_to_cpu:
            tensor = tensor.to(self.device)
        return tensor[0] if single else tensor

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

    # Vectors

    @property
    def similarity_fn_name(self) -> str:
        """The name of the similarity function: "dot", "cosine", "euclidean" or "manhattan". You may set it."""
        return self._similarity_fn_name

    @similarity_fn_name.setter
    def similarity_fn_name(self, value: str | SimilarityFunction | None) -> None:
        self._similarity_fn_name = "dot" if value is None else similarity_name(value)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """The similarity of each vector with each other: ``[n, m]``. An array, or a tensor if you give one."""
        name = self._similarity_fn_name
        if isinstance(embeddings1, SparseVectors) and isinstance(embeddings2, SparseVectors) and name == "dot":
            return embeddings1.dot(embeddings2)
        return SimilarityFunction.to_similarity_fn(name)(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """The similarity of vectors at the same place: ``[n]``. An array, or a tensor if you give one."""
        return SimilarityFunction.to_similarity_pairwise_fn(self._similarity_fn_name)(embeddings1, embeddings2)

    @staticmethod
    def sparsity(embeddings: Any) -> dict[str, float]:
        """How sparse vectors are.

        Returns:
            ``active_dims``, the mean count of the numbers of a vector that are not zero; and ``sparsity_ratio``, the
            share of the numbers that are zero.
        """
        vectors = _as_vectors(embeddings)
        if not len(vectors) or not vectors.dimensions:
            return {"active_dims": 0.0, "sparsity_ratio": 1.0}
        active = float(np.count_nonzero(vectors.values)) / len(vectors)
        return {"active_dims": active, "sparsity_ratio": 1.0 - active / vectors.dimensions}

    def decode(self, embeddings: Any, top_k: int | None = None) -> list[Any]:
        """The tokens and weights of each vector, the heaviest first.

        Args:
            embeddings: what :meth:`encode` returns.
            top_k: how many tokens to give of each vector; None for all.

        Returns:
            For each vector a list of tokens and weights; for one tensor or array ``[d]``, only its own.
        """
        found = self.embedder.terms(_as_vectors(embeddings), limit=top_k)
        return found[0] if getattr(embeddings, "ndim", 2) == 1 else found

    @staticmethod
    def intersection(embeddings_1: Any, embeddings_2: Any) -> Any:
        """The product of one vector's numbers with those of others, where both are positive.

        Args:
            embeddings_1: one vector.
            embeddings_2: one vector or more.

        Returns:
            :class:`~pellucid.SparseVectors`; a sparse tensor of the shape of ``embeddings_2`` if that is a tensor.

        Raises:
            InputError: ``embeddings_1`` is not one vector, or the vectors have different lengths.
        """
        one, others = _as_vectors(embeddings_1), _as_vectors(embeddings_2)
        if len(one) != 1 or one.dimensions != others.dimensions:
            raise InputError("intersection takes one vector, and one or more of the same model.")
        products = others.values * one.to_dense()[0][others.indices]
        kept = np.flatnonzero(products > 0)
        offsets = np.searchsorted(kept, others.offsets).astype(np.int32)
        found = SparseVectors(others.indices[kept], products[kept], offsets, others.dimensions)
        if not is_tensor(embeddings_2):
            return found
        tensor = _to_tensor(found, sparse=True).to(embeddings_2.device)
        return tensor[0] if embeddings_2.ndim == 1 else tensor

    # What programs read and set

    def get_embedding_dimension(self) -> int:
        """The length of a vector, zeros included."""
        return self.embedder.dimensions

    def get_sentence_embedding_dimension(self) -> int:
        """The older name of :meth:`get_embedding_dimension`."""
        warn_of_older_name("get_sentence_embedding_dimension", "get_embedding_dimension")
        return self.get_embedding_dimension()

    @property
    def splade_pooling_chunk_size(self) -> None:
        """None. Pellucid never holds the scores of all tokens, so it needs no such size."""
        return


def _to_tensor(vectors: SparseVectors, *, sparse: bool) -> Any:
    torch = import_torch("convert_to_tensor=True")
    if not sparse:
        return torch.from_numpy(vectors.to_dense())
    rows = np.repeat(np.arange(len(vectors)), vectors.lengths)
    places = torch.from_numpy(np.stack([rows, vectors.indices.astype(np.int64)]))
    shape = (len(vectors), vectors.dimensions)
    return torch.sparse_coo_tensor(places, torch.from_numpy(vectors.values), shape, is_coalesced=True)


def _as_vectors(embeddings: Any) -> SparseVectors:
    """What :meth:`SparseEncoder.encode` returned, as sparse vectors."""
    if isinstance(embeddings, SparseVectors):
        return embeddings
    if isinstance(embeddings, list) and embeddings and isinstance(embeddings[0], SparseVectors):
        return SparseVectors.concatenate(embeddings)
    return SparseVectors.from_dense(np.atleast_2d(as_array(embeddings)).astype(np.float32))
