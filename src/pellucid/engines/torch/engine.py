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
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import torch

from pellucid.engines.base import Engine
from pellucid.engines.threads import usable_processors
from pellucid.engines.torch.devices import check_devices
from pellucid.engines.torch.known import TransformersEncoder
from pellucid.engines.torch.modules import DeviceModule, DeviceModules, apply
from pellucid.engines.torch.planning import (
    MOST_TOKENS_IN_STEP,
    end_of_step,
    longest_first,
    tokens_in_cache,
    tokens_of,
    widest_layer,
)
from pellucid.engines.torch.pooled import pool_on_device
from pellucid.engines.torch.ragged import RaggedEncoder
from pellucid.engines.torch.several import SeveralDevices
from pellucid.engines.torch.steps import DeviceBatch, start_copy_back
from pellucid.engines.torch.vocabulary import DeviceHead
from pellucid.errors import DeviceError
from pellucid.layers.finish import EachToken, Finish, Pool
from pellucid.layers.vocabulary import VocabularyHead, VocabularyPool
from pellucid.model.spec import EncoderSpec
from pellucid.model.weights import EncoderWeights
from pellucid.sparse_vectors import SparseVectors
from pellucid.types import Float32, Int64, MultiVectors, TokenBatch

Result = TypeVar("Result")
StepResult = TypeVar("StepResult")
StepFinish = Callable[[torch.Tensor, DeviceBatch], Callable[[], StepResult]]
"""Takes the hidden states of a step, ``[T, hidden]``, and the step. It gives the device the rest of the work, and
returns a function that waits for the result and returns it."""

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
    depend on the other texts of its step.

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
        self._modules = DeviceModules(self.device)
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
        return self._each_token(batch, [])

    def run(self, batch: TokenBatch, finish: Finish[Result]) -> Result:
        """Compute the finish on the device if it can, so that only the results are copied back.

        The errors are those of :meth:`token_vectors`.
        """
        result = self._run_on_device(batch, finish)
        return super().run(batch, finish) if result is None else cast("Result", result)

    def _run_on_device(self, batch: TokenBatch, finish: object) -> object | None:
        """What a finish makes of texts, computed on the device. None if the device cannot, or has nothing to do."""
        match finish:
            case _ if not len(batch.ids):
                return None
            case Pool() if (modules := self._modules.copy(finish.modules_to_apply)) is not None:
                return self._pool(batch, finish, modules)
            case EachToken() if (modules := self._modules.copy(finish.modules)) is not None:
                return MultiVectors(self._each_token(batch, modules), batch.offsets)
            case VocabularyPool():
                return self._vocabulary_weights(batch, finish)
        return None

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

    def _each_token(self, batch: TokenBatch, modules: Sequence[DeviceModule]) -> Float32:
        """The vector of each token after these modules, ``float32[T, d]``."""

        def finish(states: torch.Tensor, _step: DeviceBatch) -> Callable[[], Float32]:
            return start_copy_back(apply(modules, states.float()))

        vectors = np.empty((0, self.spec.hidden_size), dtype=np.float32)
        for texts, rows in self._run_steps(batch, finish):
            if not len(vectors):
                vectors = np.empty((len(batch.ids), rows.shape[1]), dtype=np.float32)
            vectors[tokens_of(texts, batch.offsets)] = rows
        return vectors

    def _pool(self, batch: TokenBatch, pool: Pool, modules: Sequence[DeviceModule]) -> Float32:
        """What ``pool`` makes of the texts, within rounding."""
        modes, skip = pool.pooling.modes, pool.prompt_tokens if pool.skips else 0

        def finish(states: torch.Tensor, step: DeviceBatch) -> Callable[[], Float32]:
            return start_copy_back(apply(modules, pool_on_device(states, step, modes, skip)))

        return pool.merge(self._with_empty_texts(batch, self._run_steps(batch, finish), pool), len(batch))

    def _with_empty_texts(
        self, batch: TokenBatch, parts: Iterable[tuple[Int64, Result]], finish: Finish[Result]
    ) -> Iterator[tuple[Int64, Result]]:
        """The results of the steps, and those of the texts that have no tokens, which go through no step."""
        yield from parts
        if len(empty := np.flatnonzero(batch.lengths == 0)):
            nothing = np.empty((0, self.spec.hidden_size), dtype=np.float32)
            yield empty, finish(nothing, np.zeros(len(empty) + 1, dtype=np.int32))

    def _vocabulary_weights(self, batch: TokenBatch, pool: VocabularyPool) -> SparseVectors:
        """What ``pool`` makes of the texts. The head stays on the device as long as it exists."""
        with self._heads_lock:
            if pool.head not in self._heads:
                self._heads[pool.head] = DeviceHead(pool.head, self.device)
            head = self._heads[pool.head]

        def finish(states: torch.Tensor, step: DeviceBatch) -> Callable[[], SparseVectors]:
            weights = head.weights(states, step, pool)
            return lambda: weights

        return pool.merge(self._with_empty_texts(batch, self._run_steps(batch, finish), pool), len(batch))

    def _run_steps(self, batch: TokenBatch, finish: StepFinish[StepResult]) -> Iterator[tuple[Int64, StepResult]]:
        """Run the texts that have tokens, step by step. A GPU gets more steps before the result of one is waited for.

        Args:
            batch: the texts.
            finish: what to make of each step on the device.

        Yields:
            For each step, the indices of its texts, and its result.
        """
        order = longest_first(batch.lengths)
        texts = self._copy_to_device(batch.select(order))
        lengths = texts.batch.lengths
        running: collections.deque[tuple[Int64, Callable[[], StepResult]]] = collections.deque()
        start = 0
        while start < len(order):
            stop = end_of_step(lengths, start, self.tokens_per_step, self._encoder.min_length_ratio)
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

    @torch.inference_mode()  # type: ignore[untyped-decorator, unused-ignore]
    def _run_step(self, step: DeviceBatch, finish: StepFinish[StepResult]) -> Callable[[], StepResult]:
        return finish(self._encoder.states(step), step)

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
