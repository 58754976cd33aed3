"""A loaded model. The file to read first.

::

    name ─ sources ─▶ ModelFiles ─ model ─▶ ModelSpec ─ engines ─▶ Engine ┐
                                          text ─ Tokenizer ─▶ TokenBatch ─┤
                                                                          ▼
    input ─ task (prompt) ─▶ TokenBatch ─▶ Encoder.run(tokens, finish) ─▶ rows ─ task ─▶ result

Whoever turns tokens into numbers does it with :meth:`Encoder.run`: tasks, the server, explanations, batch jobs and
searches. It decides which texts go through the engine together, and puts the results in the texts' order.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar

import numpy as np

from pellucid.checks import check_whole
from pellucid.encoder.batching import plan
from pellucid.engines import registry
from pellucid.engines.reference import ReferenceEngine
from pellucid.errors import ModelError
from pellucid.layers.finish import Finish
from pellucid.model.load import load_spec, load_weights
from pellucid.model.modules import load_modules
from pellucid.sources.resolve import resolve
from pellucid.text.tokenizer import Tokenizer
from pellucid.types import TokenBatch

Dtype = Literal["float32", "int16", "int8", "float16", "bfloat16"]
EngineName = Literal["auto", "native", "reference", "torch"]
Result = TypeVar("Result")

_ANY_LENGTH = 1 << 31


class Encoder:
    """A model of sentence-transformers, loaded and ready for any task.

    Args:
        model_name: a Hub name (``"sentence-transformers/all-MiniLM-L6-v2"``), a short name of that organisation's
            models (``"all-MiniLM-L6-v2"``), or a folder.
        dtype: the arithmetic: ``"float32"`` is exact; ``"int16"`` is near-lossless, with every cosine to float32 above
            0.9999; ``"int8"`` is the fastest and smallest, with cosines above 0.99 on ordinary text (docs/models.md).
            ``"float16"`` and ``"bfloat16"`` are PyTorch's, for GPUs.
        engine: what does the arithmetic; ``"auto"`` takes the fastest that serves the model and the other options:
            ``"native"``, or ``"torch"`` for a GPU, and for an architecture that only transformers knows.
        device: ``"cpu"``; or with the ``torch`` extra as PyTorch names them, ``"cuda"``, ``"cuda:1"``, ``"mps"``. A GPU
            is used only when asked for.
        threads: how many threads to work with; None takes as many as there are usable processors.
        revision: a branch, tag or commit of the Hub's copy.
        cache_folder: instead of the Hugging Face cache's usual place.
        local_files_only: never use the network; ``HF_HUB_OFFLINE=1`` does the same.
        token: for private models, as huggingface_hub takes it; None uses ``HF_TOKEN`` or the saved login.
        max_tokens: read no more of a text than so many tokens, special tokens included; None for all that the model
            reads, which is also the most.

    Attributes:
        files: :class:`~pellucid.sources.files.ModelFiles`: where the files are and where they came from.
        spec: :class:`~pellucid.model.spec.ModelSpec`: everything that the model's JSON files say.
        tokenizer: :class:`~pellucid.text.tokenizer.Tokenizer`: cuts texts into tokens.
        modules: what follows pooling, with its weights: each takes ``float32[B, d]`` to ``float32[B, d']``.
        engine: the engine at work; ``engine.name`` says which.

    Raises:
        OptionError: an option's value cannot be served.
        ModelError: no such model, a failed download, or files that are broken or unsupported.

    An Encoder may be used from several threads at once.
    """

    def __init__(
        self,
        model_name: str | os.PathLike[str],
        *,
        dtype: Dtype = "float32",
        engine: EngineName = "auto",
        device: str = "cpu",
        threads: int | None = None,
        revision: str | None = None,
        cache_folder: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        max_tokens: int | None = None,
    ) -> None:
        self._again = functools.partial(
            type(self),
            model_name,
            dtype=dtype,
            engine=engine,
            device=device,
            threads=threads,
            revision=revision,
            cache_folder=cache_folder,
            local_files_only=local_files_only,
            max_tokens=max_tokens,
        )
        if max_tokens is not None:
            check_whole("max_tokens", max_tokens, 1, _ANY_LENGTH, "of at least 1, or None for what the model reads")
        registry.check_options(engine, dtype=dtype, device=device, threads=threads)
        self.files = resolve(
            model_name, revision=revision, cache_folder=cache_folder, local_files_only=local_files_only, token=token
        )
        self.spec = load_spec(self.files)
        self.modules = load_modules(self.files, self.spec)
        self.tokenizer = Tokenizer(self.files, self.spec.tokenizer, self.spec.encoder)
        self._longest = self.spec.tokenizer.max_tokens
        if max_tokens is not None:
            self.tokenizer.limit(max_tokens)
            self.spec = replace(self.spec, tokenizer=self.tokenizer.spec)
        self.engine = registry.create(
            engine,
            self.spec.encoder,
            lambda: load_weights(self.files, self.spec),
            self.files.path(self.spec.encoder_folder),
            dtype=dtype,
            device=device,
            threads=threads,
        )

    @property
    def max_tokens(self) -> int:
        """The longest text, in tokens, special tokens included; longer ones are truncated."""
        return self.spec.tokenizer.max_tokens

    def __repr__(self) -> str:
        return f"Encoder({self.spec.name!r}, engine={self.engine.name!r})"

    def __reduce__(self) -> tuple[Callable[[], Encoder], tuple[()]]:
        """Pickled as what it was made with, it is loaded again where it arrives; ``token``, a secret, stays here."""
        return self._again, ()

    def run(
        self, tokens: TokenBatch, finish: Finish[Result], *, advance: Callable[[int], object] = lambda _texts: None
    ) -> Result:
        """Tokens to results.

        Args:
            tokens: ids in ``[0, spec.encoder.vocab_size)``, at most ``max_tokens`` a text, special tokens included.
            finish: what is made of each text's token vectors.
            advance: called after each call of the engine with how many texts it had.

        Returns:
            What ``finish`` makes of the texts, in their order. That of a text depends on the text alone.
        """
        if not len(tokens):
            return finish(np.empty((0, self.spec.encoder.hidden_size), dtype=np.float32), tokens.offsets)
        parts = []
        for places in plan(tokens.lengths, self.engine.tokens_per_call):
            parts.append((places, self.engine.run(tokens.select(places), finish)))
            advance(len(places))
        return parts[0][1] if len(tokens) == 1 else finish.in_order(parts)

    def run_together(self, parts: Sequence[tuple[TokenBatch, Finish[Any]]]) -> list[Any]:
        """Several requests, those with equal finishes in one call of the engine.

        Args:
            parts: the tokens of each request, and what is made of its texts. Together they are no more than one call
                may have.

        Returns:
            The result of each.
        """
        results: list[Any] = [None] * len(parts)
        for finish in dict.fromkeys(finish for _, finish in parts):
            mine = [number for number, (_, its) in enumerate(parts) if its == finish]
            batches = [parts[number][0] for number in mine]
            joined = self.engine.run(TokenBatch.join(batches), finish)
            for number, result in zip(mine, finish.split(joined, list(map(len, batches))), strict=True):
                results[number] = result
        return results

    @functools.cached_property
    def reference(self) -> ReferenceEngine:
        """The engine that can be looked into; it maps the model's file once more, when it is first asked for."""
        if isinstance(self.engine, ReferenceEngine):
            return self.engine
        try:
            return ReferenceEngine(self.spec.encoder, load_weights(self.files, self.spec))
        except OSError as error:
            raise ModelError(
                f"{self.spec.name}: the weights cannot be read again to look into them: {error.strerror}. "
                f"Where too many files are open, close some, or raise the limit (ulimit -n)."
            ) from error

    @functools.cached_property
    def digest(self) -> str:
        """What says that a model is the same: a digest of its files, and ``max_tokens`` if you lowered it.

        All files are read for it, once, which takes a moment.
        """
        lowered = self.max_tokens < self._longest
        return self.files.digest() + (f" max_tokens={self.max_tokens}" if lowered else "")
