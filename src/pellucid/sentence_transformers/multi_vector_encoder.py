"""``MultiVectorEncoder``: a vector for each token of a text, called as in sentence-transformers 6.2."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from pellucid.checks import check_choice
from pellucid.encoder.encoder import Dtype, EngineName
from pellucid.encoder.prompts import DOCUMENT_PROMPTS, QUERY_PROMPTS
from pellucid.model.load import read_settings
from pellucid.multi_vector_embedder import MultiVectorEmbedder
from pellucid.sentence_transformers.arguments import check_value, choose_dtype, takes_older_arguments
from pellucid.sentence_transformers.base import DropIn, check_creation
from pellucid.sentence_transformers.maxsim import maxsim, maxsim_pairwise
from pellucid.sentence_transformers.similarity import MULTI_VECTOR, SimilarityFunction, similarity_name
from pellucid.sentence_transformers.tensors import import_torch
from pellucid.text.checks import as_list
from pellucid.text.sides import AnySide
from pellucid.text.truncation import OnTruncation

__all__ = ["MultiVectorEncoder", "maxsim", "maxsim_pairwise"]

_SIDES: Mapping[str | None, AnySide] = {"query": "query", "document": "document", None: "text"}


class MultiVectorEncoder(DropIn[MultiVectorEmbedder]):
    """A model of late interaction, such as ColBERT, called as sentence-transformers' class of this name.

    Args:
        model_name_or_path: a Hub name, or a folder. It may have PyLate's layout, or that of Stanford's ColBERT.
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
        processor_kwargs: only None or {}.
        config_kwargs: only None or {}.
        model_card_data: only None.
        backend: only ``"torch"``, which here means the engine that ``engine`` names.
        similarity_fn_name: "maxsim" or "meanmaxsim"; None for what the model's files say, or maxsim.
        dtype: Pellucid's own option, like the rest; see :class:`~pellucid.MultiVectorEmbedder`.
        engine: the engine that does the arithmetic.
        threads: the number of threads.
        cache: a file that keeps vectors, so that none is computed twice.
        on_truncation: what to do with texts that are too long.

    Attributes:
        prompts: the prompts by name. "query" and "document" are always there.
        default_prompt_name: the name of the prompt that ``encode`` uses if a call names none.

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
        dtype: Dtype | None = None,
        engine: EngineName = "auto",
        threads: int | None = None,
        cache: str | os.PathLike[str] | None = None,
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
        check_value("processor_kwargs", dict(processor_kwargs or {}), ({},))
        chosen = None if similarity_fn_name is None else similarity_name(similarity_fn_name, MULTI_VECTOR)
        self._options = {
            "device": "cpu" if device is None else str(device),
            "dtype": choose_dtype(dtype, model_kwargs or {}),
            "engine": engine,
            "threads": threads,
            "cache": cache,
            "on_truncation": on_truncation,
        }
        self._task = MultiVectorEmbedder(
            name,
            token=token,
            revision=revision,
            cache_folder=cache_folder,
            local_files_only=bool(local_files_only),
            **self._options,
        )
        self._set_prompts(prompts, default_prompt_name)
        saved = read_settings(self.embedder.files).values.get("similarity_fn_name")
        self._similarity_fn_name: str = chosen or (saved if saved in MULTI_VECTOR else MULTI_VECTOR[0])

    def __repr__(self) -> str:
        return f"MultiVectorEncoder({self._short_name()}, dimensions={self.get_embedding_dimension()})"

    @property
    def embedder(self) -> MultiVectorEmbedder:
        """The :class:`~pellucid.MultiVectorEmbedder` behind it."""
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
        output_value: str | None = "token_embeddings",
        convert_to_numpy: bool | None = None,
        device: str | Sequence[str] | None = None,
        normalize_embeddings: bool = False,
        pool: Mapping[str, Any] | None = None,
        chunk_size: int | None = None,
        token_pooling: None = None,
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
            output_value: only "token_embeddings".
            convert_to_numpy: False for tensors; None and True for arrays.
            device: only that of the model; or a list of it.
            normalize_embeddings: scale the vectors to unit length, even if the model does not.
            pool: without effect, because one process uses all cores.
            chunk_size: without effect, too.
            token_pooling: only None: vectors are merged if the model's files say so.
            task: "query", "document" or None; see :meth:`encode_query` and :meth:`encode_document`.
            processing_kwargs: only None or {}.

        Returns:
            For each text, ``float32[t, d]``; for one text, only its own.

        Raises:
            TextTypeError, TextError: a text cannot be used; its position is given. Nothing was computed.
            OptionError: an option's value is not supported.
        """
        self._check_call(batch_size, device, pool, chunk_size, processing_kwargs)
        check_value("output_value", output_value, ("token_embeddings",))
        check_value("token_pooling", token_pooling, (None,), "Save a model that has it.")
        check_choice("task", task, tuple(_SIDES))
        single = isinstance(inputs, str)
        texts = [inputs] if single else as_list(inputs, "inputs", hint="")
        vectors = self.embedder.embed_as(
            _SIDES[task],
            texts,
            self._prompt(prompt, prompt_name),
            normalize=normalize_embeddings,
            show_progress=bool(show_progress_bar),
        )
        rows: list[Any] = [np.array(each) for each in vectors]  # Not views, which would keep all vectors in memory.
        if convert_to_numpy is False:
            torch = import_torch("convert_to_numpy=False")
            rows = [torch.from_numpy(each).to(self.device) for each in rows]
        return rows[0] if single else rows

    @takes_older_arguments({"sentences": "inputs"}, dropped=("task",))
    @functools.wraps(encode, assigned=())  # So its help shows the arguments of encode.
    def encode_query(
        self, inputs: Any, prompt_name: str | None = None, prompt: str | None = None, *arguments: Any, **options: Any
    ) -> Any:
        """Embed queries: like :meth:`encode` with the prompt called "query" and the task "query".

        A query has at most the model's ``query_length``, and may be filled up with tokens that have vectors too.
        """
        name = self._own_prompt(QUERY_PROMPTS, prompt_name, prompt)
        return self.encode(inputs, name, prompt, *arguments, **{**options, "task": "query"})

    @takes_older_arguments({"sentences": "inputs"}, dropped=("task",))
    @functools.wraps(encode, assigned=())  # So its help shows the arguments of encode.
    def encode_document(
        self, inputs: Any, prompt_name: str | None = None, prompt: str | None = None, *arguments: Any, **options: Any
    ) -> Any:
        """Embed documents: like :meth:`encode` with the prompt called "document" and the task "document".

        A document has at most the model's ``document_length``, and no vectors for tokens that are skipped.
        """
        name = self._own_prompt(DOCUMENT_PROMPTS, prompt_name, prompt)
        return self.encode(inputs, name, prompt, *arguments, **{**options, "task": "document"})

    # Vectors beside each other

    @property
    def similarity_fn_name(self) -> str:
        """The name of the similarity function: "maxsim" or "meanmaxsim". You may set it."""
        return self._similarity_fn_name

    @similarity_fn_name.setter
    def similarity_fn_name(self, value: str | SimilarityFunction | None) -> None:
        self._similarity_fn_name = MULTI_VECTOR[0] if value is None else similarity_name(value, MULTI_VECTOR)

    def similarity(self, embeddings1: Any, embeddings2: Any, **options: Any) -> Any:
        """The score of each query with each document: ``[n, m]``. An array, or a tensor if you give one.

        The options are those of :func:`~pellucid.sentence_transformers.util.maxsim`.
        """
        return SimilarityFunction.to_similarity_fn(self._similarity_fn_name)(embeddings1, embeddings2, **options)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any, **options: Any) -> Any:
        """The score of the query and the document at the same place: ``[n]``. An array, or a tensor if you give one."""
        function = SimilarityFunction.to_similarity_pairwise_fn(self._similarity_fn_name)
        return function(embeddings1, embeddings2, **options)

    # What programs read and set

    def get_embedding_dimension(self) -> int:
        """The length of a token's vector."""
        return self.embedder.dimensions

    @property
    def max_seq_length(self) -> int:
        """The most tokens of a text that is neither query nor document. It cannot be set."""
        return self.tokenizer.spec.max_tokens

    @max_seq_length.setter
    def max_seq_length(self, value: int | None) -> None:
        check_value(
            "max_seq_length", value, (self.max_seq_length,), "MultiVectorEmbedder has max_tokens= for documents."
        )

    def get_model_kwargs(self) -> list[str]:
        """The names of the options of :meth:`encode` that the model's modules read."""
        return ["task"]

    def __getitem__(self, key: object) -> NoReturn:
        """Refuse to give one of the modules.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "A MultiVectorEncoder of Pellucid has no modules of PyTorch. Use tokenizer, config and "
            "get_embedding_dimension(); or embedder, which is Pellucid's own class."
        )

    def __call__(self, *_arguments: Any, **_options: Any) -> NoReturn:
        """Refuse to run as a module of PyTorch does.

        Raises:
            TypeError: always.
        """
        raise TypeError("A MultiVectorEncoder of Pellucid is no module of PyTorch. Use encode_query(texts).")
