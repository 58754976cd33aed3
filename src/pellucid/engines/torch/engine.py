"""The engine ``torch``: steps of texts through a model on a device, and what comes back.

On a CPU the models are those of transformers, and so are their numbers, which are sentence-transformers' own. On a GPU
the project's families go without padding. Nothing moves to another device by itself: what was asked for and cannot be
had is an error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar, cast

import numpy as np
import torch

from pellucid.engines.base import Engine
from pellucid.engines.threads import usable_processors
from pellucid.engines.torch.devices import checked_device
from pellucid.engines.torch.known import KnownEncoder
from pellucid.engines.torch.planning import end_of_step, longest_first
from pellucid.engines.torch.pooled import pooled
from pellucid.engines.torch.ragged import RaggedEncoder
from pellucid.engines.torch.steps import DeviceBatch
from pellucid.errors import DeviceError
from pellucid.layers.finish import Finish, Pool
from pellucid.layers.pooling import Pooling
from pellucid.model.spec import EncoderSpec
from pellucid.model.weights import EncoderWeights
from pellucid.types import Float32, Int64, TokenBatch

Result = TypeVar("Result")

logger = logging.getLogger("pellucid")
_TOKENS_PER_STEP = {"cpu": 8192}
_TOKENS_PER_STEP_ELSEWHERE = 65_536
_STEPS_PER_CALL = {"cpu": 1}
_STEPS_PER_CALL_ELSEWHERE = 64
"""While a GPU is at a step, the next one is on its way; a call that ends is waited for."""


class TorchEncoder(Protocol):
    """What a step goes through."""

    least_share: float

    def states(self, step: DeviceBatch) -> torch.Tensor:
        """The last hidden state, ``[T, hidden]``."""


class TorchEngine(Engine):
    """An encoder in PyTorch: whatever transformers knows; on a GPU, the project's own families without padding.

    In float32 its vectors are within rounding of those of the reference. A text's numbers depend on the others of a
    step in the last bits, as those of every library of matrices do.

    Args:
        spec: what the project knows of the encoder.
        weights: gives its weights, if it is of one of the project's families.
        folder: of the model's config.json and safetensors.
        dtype: "float32", "float16" or "bfloat16".
        device: as PyTorch names it: "cpu", "cuda", "cuda:1", "mps".
        threads: on the CPU; None takes as many as there are usable processors. It is PyTorch's setting for the process.

    Attributes:
        device: where the model is.
        dtype: of the arithmetic.
        tokens_per_call: how many tokens it is best given together.
        tokens_per_step: how many go through the model together; halved when the device's memory does not suffice.

    Raises:
        OptionError: there is no such device here.
        DeviceError: the device has no room for the model.
        UnsupportedModelError, InvalidModelError, MissingExtraError: of the weights, and of transformers.
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
        self.device = checked_device(device)
        kind = torch.device(self.device).type
        elsewhere = kind != "cpu"
        if not elsewhere:
            torch.set_num_threads(threads or usable_processors())
        self.tokens_per_step = _TOKENS_PER_STEP.get(kind, _TOKENS_PER_STEP_ELSEWHERE)
        self.tokens_per_call = self.tokens_per_step * _STEPS_PER_CALL.get(kind, _STEPS_PER_CALL_ELSEWHERE)
        arithmetic = getattr(torch, dtype)
        try:
            if elsewhere and not spec.only_torch:
                self._encoder: TorchEncoder = RaggedEncoder(spec, weights(), self.device, arithmetic)
            else:
                self._encoder = KnownEncoder(folder, self.device, arithmetic)
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"{self.device} has no room for the model. Take dtype='float16', or device='cpu'."
            ) from error

    def token_vectors(self, batch: TokenBatch) -> Float32:
        """The encoder's last hidden state, ``float32[T, hidden]``; see :class:`~pellucid.engines.base.Engine`.

        Raises:
            DeviceError: the device has no room for even one of the texts.
        """
        vectors = np.empty((len(batch.ids), self.spec.hidden_size), dtype=np.float32)
        for texts, states in self._each(batch, lambda states, _step: states.float()):
            spans = [np.arange(batch.offsets[text], batch.offsets[text + 1]) for text in texts]
            vectors[np.concatenate(spans)] = states.cpu().numpy()
        return vectors

    def run(self, batch: TokenBatch, finish: Finish[Result]) -> Result:
        """Pool where the token vectors are, so that one vector a text comes back; do any other finish here.

        The errors are those of :meth:`token_vectors`.
        """
        wanted: object = finish
        if isinstance(wanted, Pool):
            pooled = self._pooled(batch, wanted.pooling, wanted.prompt_tokens)
            return cast("Result", wanted.after_pooling(pooled))
        return super().run(batch, finish)

    def _pooled(self, batch: TokenBatch, pooling: Pooling, prompt_tokens: int) -> Float32:
        """What :func:`pellucid.layers.pooling.pool` makes of the token vectors, within rounding."""
        skip = 0 if pooling.include_prompt else prompt_tokens
        vectors = np.zeros((len(batch), len(pooling.modes) * self.spec.hidden_size), dtype=np.float32)
        made = list(self._each(batch, lambda states, step: pooled(states, step, pooling.modes, skip)))
        for texts, rows in made:  # Only now is a GPU waited for: it has been given all steps, and is at work on them.
            vectors[texts] = rows.cpu().numpy()
        return vectors

    def _each(
        self, batch: TokenBatch, finish: Callable[[torch.Tensor, DeviceBatch], torch.Tensor]
    ) -> Iterator[tuple[Int64, torch.Tensor]]:
        """Some texts after others, and what ``finish`` makes of their hidden states on the device."""
        order = longest_first(batch.lengths)
        lengths = batch.lengths[order]
        start = 0
        while start < len(order):
            stop = end_of_step(lengths, start, self.tokens_per_step, self._encoder.least_share)
            texts = order[start:stop]
            try:
                made = self._step(batch.select(texts), finish)
            except torch.OutOfMemoryError as error:
                self._give_way(len(texts), error)
            else:
                yield texts, made
                start = stop

    @torch.inference_mode()  # type: ignore[untyped-decorator, unused-ignore]
    def _step(self, batch: TokenBatch, finish: Callable[[torch.Tensor, DeviceBatch], torch.Tensor]) -> torch.Tensor:
        step = DeviceBatch.of(batch, self.device)
        return finish(self._encoder.states(step), step)

    def _give_way(self, texts: int, error: Exception) -> None:
        """After a step that the device had no room for: smaller ones, or an error if it was of one text."""
        if texts == 1:
            raise DeviceError(
                f"{self.device} has no room for one text of this length. Take a model with fewer tokens, "
                f"dtype='float16', or device='cpu'; or end what else uses its memory."
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
