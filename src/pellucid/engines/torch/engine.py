"""The engine "torch": it runs steps of texts through a model on a device, and returns the results.

On a CPU, the models are those of transformers, so the numbers are those of sentence-transformers. On a GPU, Pellucid's
own model families run without padding. The engine never moves to another device by itself: if the requested device
cannot be used, that is an error.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import torch

from pellucid.engines.base import Engine
from pellucid.engines.threads import usable_processors
from pellucid.engines.torch.devices import check_device
from pellucid.engines.torch.known import TransformersEncoder
from pellucid.engines.torch.planning import end_of_step, longest_first
from pellucid.engines.torch.pooled import pool_on_device
from pellucid.engines.torch.ragged import RaggedEncoder
from pellucid.engines.torch.steps import DeviceBatch
from pellucid.engines.torch.vocabulary import DeviceHead
from pellucid.errors import DeviceError
from pellucid.layers.finish import Finish, Pool
from pellucid.layers.pooling import Pooling
from pellucid.layers.vocabulary import VocabularyHead, VocabularyPool
from pellucid.model.spec import EncoderSpec
from pellucid.model.weights import EncoderWeights
from pellucid.sparse_vectors import SparseVectors
from pellucid.types import Float32, Int64, TokenBatch

Result = TypeVar("Result")
StepResult = TypeVar("StepResult")

logger = logging.getLogger("pellucid")
_CPU_TOKENS_PER_STEP = 8192
_GPU_TOKENS_PER_STEP = 65_536
_CPU_STEPS_PER_CALL = 1
_GPU_STEPS_PER_CALL = 64
"""While a GPU computes one step, the next one is being prepared. Only at the end of a call does the CPU wait for it, so
calls on a GPU have many steps."""


class TorchEncoder(Protocol):
    """A model that a step goes through."""

    min_length_ratio: float

    def states(self, step: DeviceBatch) -> torch.Tensor:
        """The last hidden state, ``[T, hidden]``."""


class TorchEngine(Engine):
    """An encoder in PyTorch: Pellucid's own families without padding on a GPU, or any model of transformers.

    In float32, its vectors are within rounding of the reference. As with every matrix library, a text's last bits
    depend on the other texts of its step.

    Args:
        spec: the encoder's spec.
        weights: a function that reads the encoder's weights, for Pellucid's own families.
        folder: the folder of the model's config.json and safetensors.
        dtype: "float32", "float16" or "bfloat16".
        device: PyTorch's name of the device: "cpu", "cuda", "cuda:1", "mps".
        threads: the number of threads on the CPU; None for all available CPU cores. PyTorch has one such number for
            the whole process, and this sets it.

    Attributes:
        device: the device that holds the model.
        dtype: the number type of the arithmetic.
        tokens_per_call: the number of tokens that suits the engine best in one call.
        tokens_per_step: the most tokens that go through the model together, padding included. It is halved each time
            the device runs out of memory.

    Raises:
        OptionError: this machine does not have the device.
        DeviceError: the device has too little memory for the model.
        UnsupportedModelError, InvalidModelError, MissingExtraError: the weights or transformers cannot be used.
    """

    name = "torch"

    def __init__(
        self,
        spec: EncoderSpec,
        weights: Callable[[], EncoderWeights],
        folder: Path,
        *,
        dtype: str = "float32",
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        self.spec = spec
        self.dtype = dtype
        self.device = check_device(device)
        on_cpu = torch.device(self.device).type == "cpu"
        if on_cpu:
            torch.set_num_threads(threads or usable_processors())
        self.tokens_per_step = _CPU_TOKENS_PER_STEP if on_cpu else _GPU_TOKENS_PER_STEP
        self.tokens_per_call = self.tokens_per_step * (_CPU_STEPS_PER_CALL if on_cpu else _GPU_STEPS_PER_CALL)
        self._heads: weakref.WeakKeyDictionary[VocabularyHead, DeviceHead] = weakref.WeakKeyDictionary()
        self._heads_lock = threading.Lock()
        torch_dtype = getattr(torch, dtype)
        try:
            if on_cpu or spec.only_torch:
                self._encoder: TorchEncoder = TransformersEncoder(folder, self.device, torch_dtype)
            else:
                self._encoder = RaggedEncoder(spec, weights(), self.device, torch_dtype)
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"{self.device} has too little memory for the model. Use dtype='float16', or device='cpu'."
            ) from error

    def token_vectors(self, batch: TokenBatch) -> Float32:
        """The encoder's last hidden state, ``float32[T, hidden]``; see :class:`~pellucid.engines.base.Engine`.

        Raises:
            DeviceError: the device has too little memory even for a single text.
        """
        vectors = np.empty((len(batch.ids), self.spec.hidden_size), dtype=np.float32)
        for texts, states in self._run_steps(batch, lambda states, _step: states.float()):
            rows = [np.arange(batch.offsets[text], batch.offsets[text + 1]) for text in texts]
            vectors[np.concatenate(rows)] = states.cpu().numpy()
        return vectors

    def run(self, batch: TokenBatch, finish: Finish[Result]) -> Result:
        """Pool on the device, so that only the results are copied back. Compute any other finish on the CPU.

        The errors are those of :meth:`token_vectors`.
        """
        any_finish: object = finish  # Type checkers cannot narrow a Finish[Result] to a Pool.
        if isinstance(any_finish, Pool):
            pooled = self._pool(batch, any_finish.pooling, any_finish.prompt_tokens)
            return cast("Result", any_finish.after_pooling(pooled))
        if isinstance(any_finish, VocabularyPool) and len(batch.ids):
            return cast("Result", self._vocabulary_weights(batch, any_finish))
        return super().run(batch, finish)

    def run_each(self, requests: Sequence[tuple[TokenBatch, Finish[Any]]]) -> list[Any]:
        """Make one call for all requests with the same finish, so that it can be computed on the device."""
        results: list[Any] = [None] * len(requests)
        for finish in dict.fromkeys(finish for _, finish in requests):
            indices = [index for index, (_, other) in enumerate(requests) if other == finish]
            batches = [requests[index][0] for index in indices]
            joined = self.run(TokenBatch.join(batches), finish)
            for index, result in zip(indices, finish.split(joined, list(map(len, batches))), strict=True):
                results[index] = result
        return results

    def _pool(self, batch: TokenBatch, pooling: Pooling, prompt_tokens: int) -> Float32:
        """Pool the token vectors as :func:`pellucid.layers.pooling.pool` does, within rounding."""
        skip = 0 if pooling.include_prompt else prompt_tokens
        vectors = np.zeros((len(batch), len(pooling.modes) * self.spec.hidden_size), dtype=np.float32)
        steps = list(self._run_steps(batch, lambda states, step: pool_on_device(states, step, pooling.modes, skip)))
        for texts, rows in steps:  # A GPU has been given all steps by now. Copying its results back waits for it.
            vectors[texts] = rows.cpu().numpy()
        return vectors

    def _vocabulary_weights(self, batch: TokenBatch, pool: VocabularyPool) -> SparseVectors:
        """What ``pool`` makes of the texts. The head stays on the device as long as it exists."""
        with self._heads_lock:
            if pool.head not in self._heads:
                self._heads[pool.head] = DeviceHead(pool.head, self.device)
            head = self._heads[pool.head]
        parts = list(self._run_steps(batch, lambda states, step: head.weights(states, step, pool)))
        without_tokens = np.flatnonzero(batch.lengths == 0)
        empty = SparseVectors.from_dense(np.zeros((len(without_tokens), parts[0][1].dimensions), dtype=np.float32))
        return pool.merge([*parts, (without_tokens, empty)], len(batch))

    def _run_steps(
        self, batch: TokenBatch, finish: Callable[[torch.Tensor, DeviceBatch], StepResult]
    ) -> Iterator[tuple[Int64, StepResult]]:
        """Run the texts that have tokens, step by step.

        Args:
            batch: the texts.
            finish: turns the hidden states of a step into its result, on the device.

        Yields:
            For each step, the indices of its texts, and its result.
        """
        order = longest_first(batch.lengths)
        lengths = batch.lengths[order]
        start = 0
        while start < len(order):
            stop = end_of_step(lengths, start, self.tokens_per_step, self._encoder.min_length_ratio)
            texts = order[start:stop]
            try:
                result = self._run_step(batch.select(texts), finish)
            except torch.OutOfMemoryError as error:
                self._halve_steps(len(texts), error)
            else:
                yield texts, result
                start = stop

    @torch.inference_mode()  # type: ignore[untyped-decorator, unused-ignore]
    def _run_step(self, batch: TokenBatch, finish: Callable[[torch.Tensor, DeviceBatch], StepResult]) -> StepResult:
        step = DeviceBatch.of(batch, self.device)
        return finish(self._encoder.states(step), step)

    def _halve_steps(self, texts: int, error: Exception) -> None:
        """Make steps smaller after the device ran out of memory; raise if that step had a single text."""
        if texts == 1:
            raise DeviceError(
                f"{self.device} has too little memory for one text of this length. Use a model that reads fewer "
                f"tokens, dtype='float16', or device='cpu'; or stop other programs that use this memory."
            ) from error
        self.tokens_per_step = max(1, self.tokens_per_step // 2)
        logger.warning("%s is out of memory; from now on %d tokens at a time", self.device, self.tokens_per_step)
        if torch.device(self.device).type == "cuda":
            torch.cuda.empty_cache()


def create(
    spec: EncoderSpec,
    weights: Callable[[], EncoderWeights],
    folder: Path,
    *,
    dtype: str,
    device: str,
    threads: int | None,
) -> TorchEngine:
    """See :class:`pellucid.engines.registry.Create`."""
    return TorchEngine(spec, weights, folder, dtype=dtype, device=device, threads=threads)
