"""``CrossEncoder``: scores and labels for pairs of texts, called as in sentence-transformers 6.2."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from pellucid.checks import check_integer
from pellucid.classifier import Classifier
from pellucid.encoder.encoder import Dtype, EngineName
from pellucid.engines.reference import softmax
from pellucid.errors import InputError, OptionError
from pellucid.sentence_transformers.activations import Activation, activate, as_activation
from pellucid.sentence_transformers.arguments import (
    check_value,
    choose_dtype,
    is_single,
    takes_older_arguments,
    warn_of_older_name,
)
from pellucid.sentence_transformers.base import DropIn, check_creation
from pellucid.sentence_transformers.tensors import import_torch
from pellucid.text.checks import as_list
from pellucid.text.truncation import OnTruncation

__all__ = ["CrossEncoder"]

_ORGANIZATION = "cross-encoder"
"""Goes before a name without an organisation."""


class CrossEncoder(DropIn[Classifier]):
    """A cross-encoder, called as sentence-transformers' class of this name, without PyTorch.

    Args:
        model_name_or_path: a Hub name, a name of the organisation ``cross-encoder``, or a folder.
        device: ``"cpu"``, or PyTorch's name of a GPU. None is the CPU: a GPU is used only if you ask for it.
        prompts: more prompts, or others than the model's, by name.
        default_prompt_name: the prompt to use if a call names none.
        cache_folder, revision, local_files_only, token: as for :class:`~pellucid.encoder.encoder.Encoder`.
        trust_remote_code: accepted without effect, because Pellucid never runs a model's code.
        model_kwargs: ``dtype`` (older name: ``torch_dtype``); ``attn_implementation`` has no effect.
        processor_kwargs: ``model_max_length``, which is ``max_length``.
        config_kwargs: ``num_labels``.
        backend: only ``"torch"``, which here means the engine that ``engine`` names.
        num_labels: the number of labels; it must be the model's own.
        max_length: read at most this many tokens of a pair, instead of what the model's files say.
        activation_fn: what turns logits into scores, instead of what the model's files say: a module of PyTorch, a
            function of a tensor, or a name such as ``"sigmoid"`` or ``"identity"``.
        modules, model_card_data, keep_in_fp32_modules: only None.
        dtype, engine, threads, on_truncation: Pellucid's own options; see :class:`~pellucid.Reranker`.

    Attributes:
        prompts: the prompts by name.
        default_prompt_name: the name of the prompt to use if a call names none.

    Raises:
        OptionError: an option's value is not supported.
        ModelError: the model does not exist, its download failed, or its files are broken or unsupported.
    """

    @takes_older_arguments(
        {
            "model_name": "model_name_or_path",
            "automodel_args": "model_kwargs",
            "tokenizer_args": "processor_kwargs",
            "tokenizer_kwargs": "processor_kwargs",
            "config_args": "config_kwargs",
            "cache_dir": "cache_folder",
            "default_activation_function": "activation_fn",
        },
        positional=("num_labels", "max_length", "activation_fn", "device"),
        dropped=("classifier_dropout",),
    )
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
        num_labels: int | None = None,
        max_length: int | None = None,
        activation_fn: Callable[[Any], Any] | str | None = None,
        keep_in_fp32_modules: Sequence[str] | None = None,
        dtype: Dtype | None = None,
        engine: EngineName = "auto",
        threads: int | None = None,
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
        check_value("keep_in_fp32_modules", keep_in_fp32_modules, (None, []), "All modules are float32 by default.")
        chosen = None if activation_fn is None else as_activation(activation_fn)
        self._options: dict[str, Any] = {
            "device": "cpu" if device is None else device,
            "dtype": choose_dtype(dtype, model_kwargs or {}),
            "engine": engine,
            "threads": threads,
            "on_truncation": on_truncation,
        }
        if max_length is None:
            max_length = (processor_kwargs or {}).get("model_max_length")
        self._task = Classifier(
            _full_name(name),
            max_tokens=max_length,
            token=token,
            revision=revision,
            cache_folder=cache_folder,
            local_files_only=bool(local_files_only),
            **self._options,
        )
        wanted = (config_kwargs or {}).get("num_labels") if num_labels is None else num_labels
        if wanted not in (None, self.num_labels):
            raise OptionError(
                f"num_labels={wanted!r:.80}, but {self.classifier.model_name} has {self.num_labels}. Leave it out: "
                f"another number needs training, which is for sentence-transformers.",
                "num_labels",
            )
        self._activation = Activation(self.classifier.activation) if chosen is None else chosen
        self._set_prompts(prompts, default_prompt_name)

    def __repr__(self) -> str:
        return f"CrossEncoder({self._short_name()}, num_labels={self.num_labels})"

    @property
    def classifier(self) -> Classifier:
        """The :class:`~pellucid.Classifier` behind it."""
        return self._task

    @takes_older_arguments({"sentences": "inputs", "activation_fct": "activation_fn"}, dropped=("num_workers",))
    def predict(
        self,
        inputs: Any,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Callable[[Any], Any] | str | None = None,
        apply_softmax: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | Sequence[str] | None = None,
        pool: Mapping[str, Any] | None = None,
        chunk_size: int | None = None,
        processing_kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Score pairs of texts.

        Args:
            inputs: pairs, or one pair; a single text too, for a model of single texts.
            prompt_name: put the prompt of this name before the first text of each pair.
            prompt: put this before it; "" for no prompt.
            batch_size: checked, but without effect: Pellucid groups pairs by their number of tokens.
            show_progress_bar: draw a progress bar, on a terminal or in a notebook. None is False.
            activation_fn: what turns logits into scores in this call.
            apply_softmax: make the scores of several labels add up to 1.
            convert_to_numpy: False for a list of tensors.
            convert_to_tensor: True for one tensor.
            device: only that of the model; or a list of it.
            pool: without effect, because one process uses all cores.
            chunk_size: without effect, too.
            processing_kwargs: only None or {}.

        Returns:
            ``float32[n]`` for a model of one label, otherwise ``float32[n, labels]``; for one pair, without the ``n``.

        Raises:
            TextTypeError, TextError: a pair cannot be used; its position is given. Nothing was computed.
            OptionError: an option's value is not supported.
        """
        self._check_call(batch_size, device, pool, chunk_size, processing_kwargs)
        function = self._activation if activation_fn is None else as_activation(activation_fn)
        single = is_single(inputs)
        plain = inputs.tolist() if isinstance(inputs, np.ndarray) else inputs
        given = [plain] if single else plain
        chosen = self._prompt(prompt, prompt_name)
        logits = self.classifier.logits(given, prompt=chosen, show_progress=bool(show_progress_bar))
        scores = activate(function, logits)
        if self.num_labels == 1:
            scores = scores.reshape(-1)
        elif apply_softmax:
            scores = softmax(scores)
        if convert_to_tensor or not convert_to_numpy:
            torch = import_torch("convert_to_tensor=True" if convert_to_tensor else "convert_to_numpy=False")
            tensor = torch.from_numpy(scores if len(scores) else scores.reshape(-1)).to(self.device)
            rows = tensor if convert_to_tensor else list(tensor)
        else:
            rows = scores if len(scores) else np.array([])  # float64[0], as there.
        return rows[0] if single else rows

    @takes_older_arguments(
        {"activation_fct": "activation_fn"},
        dropped=("num_workers", "apply_softmax", "convert_to_numpy", "convert_to_tensor"),
    )
    def rank(
        self,
        query: str,
        documents: Iterable[str],
        top_k: int | None = None,
        return_documents: bool = False,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Callable[[Any], Any] | str | None = None,
        device: str | Sequence[str] | None = None,
        pool: Mapping[str, Any] | None = None,
        chunk_size: int | None = None,
    ) -> list[dict[str, Any]]:
        """Sort documents by their score for a query, best first.

        ``top_k`` is how many to return, None for all; with ``return_documents``, the texts come too. The other options
        are those of :meth:`predict`.

        Returns:
            For each document a dict with ``corpus_id`` (its position), ``score``, and ``text`` if ``return_documents``.

        Raises:
            InputError: the model has several labels. Other errors are those of :meth:`predict`.
        """
        if self.num_labels != 1:
            raise InputError(f"rank needs a model with one label, and this one has {self.num_labels}. Use predict.")
        if top_k is not None:
            top_k = check_integer("top_k", top_k, 0, sys.maxsize, "of at least 0, or None for all")
        texts = as_list(documents, "documents", hint=" For one document, give a list with one text.")
        scores = self.predict(
            [(query, text) for text in texts],
            prompt_name=prompt_name,
            prompt=prompt,
            batch_size=batch_size,
            show_progress_bar=show_progress_bar,
            activation_fn=activation_fn,
            device=device,
            pool=pool,
            chunk_size=chunk_size,
        )
        ranked: list[dict[str, Any]] = [
            {"corpus_id": number, "score": score} | ({"text": texts[number]} if return_documents else {})
            for number, score in enumerate(scores.tolist())
        ]
        return sorted(ranked, key=lambda each: each["score"], reverse=True)[:top_k]

    # What programs read and set

    @property
    def num_labels(self) -> int:
        """The number of labels."""
        return len(self.classifier.labels)

    @property
    def config(self) -> Any:
        """The content of config.json as attributes, with ``id2label``, ``label2id`` and ``num_labels``. A copy."""
        names = dict(enumerate(self.classifier.labels))
        labels = {"id2label": names, "label2id": {name: number for number, name in names.items()}}
        return SimpleNamespace(**{**self._config_values(), **labels, "num_labels": len(names)})

    @property
    def activation_fn(self) -> Callable[[Any], Any]:
        """What turns logits into scores. You may set it."""
        return self._activation

    @activation_fn.setter
    def activation_fn(self, value: Callable[[Any], Any] | str) -> None:
        self._activation = as_activation(value)

    @property
    def default_activation_function(self) -> Callable[[Any], Any]:
        """The older name of :attr:`activation_fn`."""
        warn_of_older_name("default_activation_function", "activation_fn")
        return self._activation

    @property
    def max_length(self) -> int | float:
        """The older name of :attr:`max_seq_length`."""
        warn_of_older_name("max_length", "max_seq_length")
        return self.max_seq_length

    @max_length.setter
    def max_length(self, value: int) -> None:
        warn_of_older_name("max_length", "max_seq_length")
        self.max_seq_length = value


def _full_name(name: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The Hub name: a name without an organisation gets sentence-transformers' own for cross-encoders."""
    if isinstance(name, str) and name and "/" not in name:
        with contextlib.suppress(OSError, ValueError):  # Such as a name that is too long for a file.
            if Path(name).is_dir():
                return name
        return f"{_ORGANIZATION}/{name}"
    return name
