"""The engine "torch": it runs steps of texts through a model on a device, and returns the results.

On a CPU, the models are those of transformers, so the numbers are those of sentence-transformers. On a GPU, Pellucid's
own model families run without padding. The engine never moves to another device by itself: if the requested device
cannot be used, that is an error.
"""

from __future__ import annotations

import collections
import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from pellucid.engines.base import Engine
from pellucid.engines.threads import usable_processors
from pellucid.engines.torch.devices import check_devices
from pellucid.engines.torch.known import TransformersEncoder
from pellucid.engines.torch.modules import DeviceModules, apply_modules
from pellucid.engines.torch.ops import normalize, ops_for
from pellucid.engines.torch.planning import (
    MOST_TOKENS_IN_STEP,
    end_of_step,
    longest_first,
    tokens_in_cache,
    widest_layer,
)
from pellucid.engines.torch.pooled import pool_on_device
from pellucid.engines.torch.ragged import RaggedEncoder
from pellucid.engines.torch.several import SeveralDevices
from pellucid.engines.torch.steps import DeviceBatch, start_copy_back
from pellucid.engines.torch.vocabulary import DeviceHead
from pellucid.errors import DeviceError
from pellucid.layers.finish import EachToken, Finish, Pool, Several
from pellucid.layers.vocabulary import SparseCode, VocabularyHead, VocabularyPool
from pellucid.model.spec import EncoderSpec
from pellucid.model.weights import EncoderWeights
from pellucid.types import Float32, Int64, TokenBatch

Result = TypeVar("Result")
Wait = Callable[[], Result]
"""Waits for the device, and returns a result."""

logger = logging.getLogger("pellucid")
_CPU_TOKENS_PER_STEP = 8192
_GPU_TOKENS_PER_CALL = 1 << 22
"""A GPU gets the steps of a call one after the other, without a pause. There is a pause between two calls, so a call on
a GPU has many steps."""
_GPU_STEPS_AHEAD = 4
"""How many steps a GPU is given before the result of the first is waited for. Few enough to bound the memory of results
that wait to be copied."""


class TorchEncoder(Protocol):
    """A model that a step goes through."""

    min_length_ratio: float

    def states(self, step: DeviceBatch) -> torch.Tensor:
        """The last hidden state, ``[T, hidden]``."""


class TorchEngine(Engine):
    """An encoder in PyTorch: Pellucid's own families without padding on a GPU, or any model of transformers.

    In float32, its vectors are within rounding of the reference. As with every matrix library, a text's last bits
    may depend on the other texts of its step.

    Args:
        spec: the encoder's spec.
        weights: a function that reads the encoder's weights, for Pellucid's own families.
        folder: the folder of the model's config.json and safetensors.
        dtype: "float32", "float16" or "bfloat16".
        device: the name of the device, from :func:`~pellucid.engines.torch.devices.check_devices`.
        threads: the number of threads on the CPU; None for all available CPU cores. PyTorch has one such number for
            the whole process, and this sets it.

    Attributes:
        device: the device that holds the model.
        dtype: the number type of the arithmetic.
        tokens_per_call: the number of tokens that suits the engine best in one call.
        tokens_per_step: the most tokens that go through the model together, padding included. It is halved each time
            the device runs out of memory.

    Raises:
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
        self.device = device
        on_cpu = torch.device(self.device).type == "cpu"
        if on_cpu:
            torch.set_num_threads(threads or usable_processors())
        self.tokens_per_step = _CPU_TOKENS_PER_STEP if on_cpu else gpu_tokens_per_step(spec, self.device, dtype)
        self.tokens_per_call = _CPU_TOKENS_PER_STEP if on_cpu else _GPU_TOKENS_PER_CALL
        self._steps_ahead = 0 if on_cpu else _GPU_STEPS_AHEAD
        self._ops = ops_for(self.device)
        self._modules = DeviceModules(self.device)
        self._heads: weakref.WeakKeyDictionary[VocabularyHead, DeviceHead] = weakref.WeakKeyDictionary()
        self._heads_lock = threading.Lock()
        torch_dtype = getattr(torch, dtype)
        try:
            if on_cpu or spec.only_torch:
                self._encoder: TorchEncoder = TransformersEncoder(folder, self.device, torch_dtype)
            else:
                self._encoder = RaggedEncoder(spec, weights(), self.device, torch_dtype, self._ops)
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"{self.device} has too little memory for the model. Use dtype='float16', or device='cpu'."
            ) from error

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, fused={self._ops.is_fused})"

    def token_vectors(self, batch: TokenBatch) -> Float32:
        """The encoder's last hidden state, ``float32[T, hidden]``; see :class:`~pellucid.engines.base.Engine`.

        Raises:
            DeviceError: the device has too little memory even for a single text.
        """
        return self.run(batch, EachToken()).vectors

    def run(self, batch: TokenBatch, finish: Finish[Result]) -> Result:
        """Compute the results of texts, as far as possible on the device, so that little has to be copied back.

        The errors are those of :meth:`token_vectors`.
        """
        if not len(batch):
            return finish(np.empty((0, self.spec.hidden_size), dtype=np.float32), batch)
        return finish.merge(self._run_steps(batch, finish), len(batch))

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

    def _finish_step(self, states: torch.Tensor, step: DeviceBatch, finish: Finish[Any]) -> Wait[Any]:
        """Give the device its part of a finish: what is left of it is for the CPU.

        Args:
            states: the token vectors of the step's texts, ``[T, hidden]``.
            step: the texts.
            finish: what to make of them.

        Returns:
            A function that waits for the device, and returns what ``finish`` makes of the texts, within rounding.
        """
        match finish:
            case Pool():
                return self._pool(states, step, finish)
            case EachToken() if (modules := self._modules.copy(finish.modules)) is not None:
                vectors = start_copy_back(apply_modules(modules, states.float()))
                return lambda: finish.after_modules(vectors(), step.batch)
            case VocabularyPool():
                weights = self._head(finish.head).weights(states, step, finish)
                return lambda: weights
            case SparseCode():
                dense = self._finish_step(states, step, finish.pool)
                return lambda: finish.autoencoder(dense(), finish.max_active_dims)
            case Several():
                results = [self._finish_step(states, step, each) for each in finish.finishes]
                return lambda: tuple(result() for result in results)
        vectors = start_copy_back(states.float())
        return lambda: finish(vectors(), step.batch)

    def _pool(self, states: torch.Tensor, step: DeviceBatch, pool: Pool) -> Wait[Float32]:
        """The same for a ``Pool``. If only the CPU has one of its modules, all of them run there."""
        modes, skip = pool.pooling.modes, pool.skipped_tokens
        modules = self._modules.copy(pool.modules_to_apply)
        if modules and modules[0] is normalize and modes == ("mean",):  # One kernel does both.
            return start_copy_back(apply_modules(modules[1:], self._ops.mean(states, step, skip, normalized=True)))
        pooled = pool_on_device(states, step, modes, skip, self._ops)
        if modules is not None:
            return start_copy_back(apply_modules(modules, pooled))
        copied = start_copy_back(pooled)
        return lambda: pool.after_pooling(copied())

    def _head(self, head: VocabularyHead) -> DeviceHead:
        """The head on the device. It stays there as long as it exists."""
        with self._heads_lock:
            if head not in self._heads:
                self._heads[head] = DeviceHead(head, self.device)
            return self._heads[head]

    def _run_steps(self, batch: TokenBatch, finish: Finish[Result]) -> Iterator[tuple[Int64, Result]]:
        """Run texts step by step. A GPU gets more steps before the result of one is waited for.

        Yields:
            For each step, the indices of its texts, and their result. Texts that have no tokens come last.
        """
        order = longest_first(batch.lengths)
        texts = self._copy_to_device(batch.select(order))
        running: collections.deque[tuple[Int64, Wait[Result]]] = collections.deque()
        start = 0
        while start < len(order):
            ratio = self._encoder.min_length_ratio
            stop = end_of_step(texts.batch.lengths, start, self.tokens_per_step, ratio)
            try:
                result = self._run_step(texts.part(start, stop), finish)
            except torch.OutOfMemoryError as error:
                self._halve_steps(stop - start, error)
                continue
            running.append((order[start:stop], result))
            start = stop
            if len(running) > self._steps_ahead:
                indices, result = running.popleft()
                yield indices, result()
        for indices, result in running:
            yield indices, result()
        if len(empty := np.flatnonzero(batch.lengths == 0)):
            yield empty, finish(np.empty((0, self.spec.hidden_size), dtype=np.float32), batch.select(empty))

    @torch.inference_mode()  # type: ignore[untyped-decorator, unused-ignore]
    def _run_step(self, step: DeviceBatch, finish: Finish[Result]) -> Wait[Result]:
        with torch.cuda.device_of(step.ids):  # Triton starts kernels on the current device.
            return self._finish_step(self._encoder.states(step), step, finish)

    def _copy_to_device(self, batch: TokenBatch) -> DeviceBatch:
        """Copy all texts of a call at once, so that its steps copy nothing."""
        try:
            return DeviceBatch.of(batch, self.device)
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"{self.device} has too little memory for the token ids of {len(batch)} texts. Embed fewer at a time, "
                f"or stop other programs that use this memory."
            ) from error

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


def gpu_tokens_per_step(spec: EncoderSpec, device: str, dtype: str) -> int:
    """How many tokens a step on a GPU has. Only CUDA says how large the cache is."""
    on_cuda = torch.device(device).type == "cuda"
    cache = torch.cuda.get_device_properties(device).L2_cache_size if on_cuda else 0
    return tokens_in_cache(cache, widest_layer(spec) * getattr(torch, dtype).itemsize) if cache else MOST_TOKENS_IN_STEP


def create(
    spec: EncoderSpec,
    weights: Callable[[], EncoderWeights],
    folder: Path,
    *,
    dtype: str,
    device: str,
    threads: int | None,
) -> Engine:
    """See :class:`pellucid.engines.registry.Create`. ``device`` may name several devices."""
    engines = [
        TorchEngine(spec, weights, folder, dtype=dtype, device=name, threads=threads) for name in check_devices(device)
    ]
    return engines[0] if len(engines) == 1 else SeveralDevices(engines, min_tokens=engines[0].tokens_per_step)
