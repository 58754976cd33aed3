"""PyTorch, which is imported here and nowhere else, with the models of transformers: any architecture, and GPUs.

Weights are read from safetensors alone, and no code of a model is run. Nothing moves to another device by itself: what
was asked for and cannot be had is an error.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.engines.threads import usable_processors
from pellucid.errors import DeviceError, InvalidModelError, MissingExtraError, OptionError, UnsupportedModelError
from pellucid.model.spec import EncoderSpec
from pellucid.pooling import Pooling
from pellucid.types import Float32, Int64, TokenBatch

logger = logging.getLogger("pellucid")
_TOKENS_PER_STEP = {"cpu": 8192}
_TOKENS_PER_STEP_ELSEWHERE = 65_536
_LEAST_SHARE = {"cpu": 1.0}
_LEAST_SHARE_ELSEWHERE = 0.875
"""How long the shortest text of a step is, at least, beside the longest. On a CPU equally long texts go together, so
there is no padding; on a GPU larger steps are worth an eighth of it."""


class TorchEngine:
    """The encoder as transformers has it.

    In float32 its vectors are within rounding of those of the reference. A text's numbers depend on the others of a
    step in the last bits, as those of every library of matrices do.

    Args:
        folder: of the model's config.json and safetensors.
        spec: what the project knows of the encoder.
        dtype: "float32", "float16" or "bfloat16".
        device: as PyTorch names it: "cpu", "cuda", "cuda:1", "mps".
        threads: on the CPU; None takes as many as there are usable processors. It is PyTorch's setting for the process.

    Attributes:
        device: where the model is.
        dtype: of the arithmetic.
        tokens_per_call: how many tokens it is best given together.
        tokens_per_step: how many go through the model together; halved when the device's memory does not suffice.

    Raises:
        MissingExtraError: ``pip install 'pellucid[torch]'`` is needed.
        OptionError: there is no such device here.
        UnsupportedModelError: transformers does not know the architecture, or there are no safetensors.
        InvalidModelError: weights are missing, or are of another shape.
    """

    name = "torch"

    def __init__(
        self,
        folder: Path,
        spec: EncoderSpec,
        *,
        dtype: str = "float32",
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        self._torch = _imported()
        self.spec = spec
        self.dtype = dtype
        self.device = checked_device(device)
        kind = self._torch.device(self.device).type
        if kind == "cpu":
            self._torch.set_num_threads(threads or usable_processors())
        self.tokens_per_step = self.tokens_per_call = _TOKENS_PER_STEP.get(kind, _TOKENS_PER_STEP_ELSEWHERE)
        self._least_share = _LEAST_SHARE.get(kind, _LEAST_SHARE_ELSEWHERE)
        self._model = self._loaded(folder)

    def token_vectors(self, batch: TokenBatch) -> Float32:
        """The encoder's last hidden state, ``float32[T, hidden]``; see :class:`~pellucid.engines.base.Engine`.

        Raises:
            DeviceError: the device has no room for even one of the texts.
        """
        vectors = np.empty((len(batch.ids), self.spec.hidden_size), dtype=np.float32)
        for texts, rows in self._each(batch, lambda states, _lengths: states.float()):
            for row, text in zip(rows, texts.tolist(), strict=True):
                start, end = batch.offsets[text], batch.offsets[text + 1]
                vectors[start:end] = row[: end - start]
        return vectors

    def encode_pooled(self, batch: TokenBatch, pooling: Pooling, prompt_tokens: int) -> Float32:
        """What :func:`pellucid.pooling.pool` makes of the token vectors, made where they are: only that comes back.

        Args:
            batch: as for :meth:`token_vectors`; the errors too.
            pooling: how.
            prompt_tokens: how many at the start of each text are left out, if ``pooling`` says so.

        Returns:
            ``float32[B, len(modes) * hidden]``, within rounding of the one pooling.
        """
        skip = 0 if pooling.include_prompt else prompt_tokens
        pooled = np.zeros((len(batch), len(pooling.modes) * self.spec.hidden_size), dtype=np.float32)
        for texts, rows in self._each(
            batch, lambda states, lengths: _pooled(self._torch, states.float(), lengths, pooling.modes, skip)
        ):
            pooled[texts] = rows
        return pooled

    def _each(self, batch: TokenBatch, finish: Callable[[Any, Any], Any]) -> Iterator[tuple[Int64, Float32]]:
        """Some texts after others, and what ``finish`` makes of their hidden states and lengths on the device."""
        steps = _steps(batch.lengths, self.tokens_per_step, self._least_share)
        waiting = [texts for texts in steps if batch.lengths[texts[0]]][::-1]  # Without tokens, there is nothing to do.
        while waiting:
            texts = waiting.pop()
            try:
                yield texts, self._step(batch, texts, finish)
            except self._torch.OutOfMemoryError as error:
                self._give_way(len(texts), error)
                waiting += [half for half in (texts[len(texts) // 2 :], texts[: len(texts) // 2]) if len(half)]

    def _step(self, batch: TokenBatch, texts: Int64, finish: Callable[[Any, Any], Any]) -> Float32:
        """One call of the model. Beyond a text's end, its hidden states mean nothing."""
        torch = self._torch
        lengths = batch.lengths[texts]
        longest = int(lengths.max())
        ids = np.zeros((len(texts), longest), dtype=np.int64)
        for row, text in enumerate(texts.tolist()):
            ids[row, : lengths[row]] = batch.ids[batch.offsets[text] : batch.offsets[text + 1]]
        inputs = {"input_ids": torch.from_numpy(ids).to(self.device)}
        if int(lengths.min()) < longest:
            mask = np.arange(longest) < lengths[:, None]
            inputs["attention_mask"] = torch.from_numpy(mask.astype(np.int64)).to(self.device)
        with torch.inference_mode():
            states = self._model(**inputs).last_hidden_state
            rows: Float32 = finish(states, torch.from_numpy(lengths).to(self.device)).cpu().numpy()
        return rows

    def _give_way(self, texts: int, error: Exception) -> None:
        """After a step that the device had no room for: smaller ones, or an error if it was of one text."""
        if texts == 1:
            raise DeviceError(
                f"{self.device} has no room for one text of this length. Take a model with fewer tokens, "
                f"dtype='float16', or device='cpu'; or end what else uses its memory."
            ) from error
        self.tokens_per_step = max(1, self.tokens_per_step // 2)
        logger.warning("%s is out of memory; from now on %d tokens at a time", self.device, self.tokens_per_step)
        if self._torch.device(self.device).type == "cuda":
            self._torch.cuda.empty_cache()

    def _loaded(self, folder: Path) -> Any:
        """The model, ready to be asked, on its device."""
        from transformers import AutoConfig, AutoModel

        torch = self._torch
        own = {"local_files_only": True, "trust_remote_code": False}
        try:
            config = AutoConfig.from_pretrained(folder, **own)
            model, told = AutoModel.from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                output_loading_info=True,
                dtype=getattr(torch, self.dtype),
                **own,
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise UnsupportedModelError(
                f"transformers cannot load the model ({_first_line(error)}). It must know the architecture by itself, "
                f"because code of a model is never run, and find its weights in safetensors."
            ) from error
        missing = sorted(name for name in told["missing_keys"] if not _is_unused(name))
        wrong = sorted(told["mismatched_keys"], key=str)
        if missing or wrong:
            # transformers would go on with random numbers.
            name = missing[0] if missing else wrong[0]
            raise InvalidModelError(f"the weights have no {name!r} of the size that config.json asks for.")
        if config.is_encoder_decoder:
            model = model.get_encoder()
        try:
            return model.eval().to(self.device)
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"{self.device} has no room for the model. Take dtype='float16', or device='cpu'."
            ) from error


def _pooled(torch: Any, states: Any, lengths: Any, modes: Sequence[str], skip: int) -> Any:
    """The modes of :mod:`pellucid.pooling`, of padded texts: ``[n, L, hidden]`` and ``[n]`` to ``[n, modes * hidden]``.

    A text of which nothing is left gives zeros.
    """
    places = torch.arange(states.shape[1], device=states.device)
    inside = (places >= skip) & (places < lengths[:, None])
    counts = inside.sum(dim=1, keepdim=True)
    weights = inside.to(states.dtype)
    total = torch.einsum("nl,nlh->nh", weights, states)
    later = weights * (places + 1)
    rows = torch.arange(len(states), device=states.device)
    made = {
        "cls": lambda: states[:, min(skip, states.shape[1] - 1)],
        "max": lambda: states.masked_fill(~inside[:, :, None], -torch.inf).amax(dim=1),
        "mean": lambda: total / counts,
        "mean_sqrt_len_tokens": lambda: total / counts.to(states.dtype).sqrt(),
        "weightedmean": lambda: torch.einsum("nl,nlh->nh", later, states) / later.sum(dim=1, keepdim=True),
        "lasttoken": lambda: states[rows, (lengths - 1).clamp(min=0).long()],
    }
    return torch.cat([made[mode]().masked_fill(counts == 0, 0.0) for mode in modes], dim=1)


def is_installed() -> bool:
    """Whether the ``torch`` extra is there; imports nothing."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "transformers"))


def checked_device(device: str) -> str:
    """A device that is there.

    Raises:
        OptionError: PyTorch knows no such device, or this machine has none.
    """
    torch = _imported()
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise OptionError(f"device={device!r} is not one of 'cpu', 'cuda', 'cuda:1', …, 'mps'.") from error
    if wanted.type == "cpu":
        return "cpu"
    if wanted.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            raise OptionError(
                f"device={device!r}: PyTorch {torch.__version__} sees no CUDA device. Look whether `nvidia-smi` does, "
                f"and whether this PyTorch was built with CUDA; or take device='cpu'."
            )
        if wanted.index is not None and wanted.index >= count:
            raise OptionError(f"device={device!r}: this machine has {count}, the last of them 'cuda:{count - 1}'.")
        return device
    if wanted.type == "mps" and torch.backends.mps.is_available():
        return device
    raise OptionError(f"device={device!r} is not there for PyTorch {torch.__version__}. Take device='cpu'.")


def _steps(lengths: Any, tokens: int, least_share: float) -> Iterator[Int64]:
    """Texts of like lengths, longest first: at most ``tokens`` with what is padded, or one longer text.

    >>> [step.tolist() for step in _steps(np.array([3, 9, 3, 4]), tokens=8, least_share=1.0)]
    [[1], [3], [0, 2]]
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]])
        most = start + max(1, tokens // max(1, longest))
        stop = start + 1
        while stop < min(most, len(order)) and lengths[order[stop]] >= least_share * longest:
            stop += 1
        yield order[start:stop]
        start = stop


def _is_unused(name: str) -> bool:
    """Whether a weight has no part in the token vectors: the head that BERT was trained with."""
    return "pooler." in name or name.startswith(("lm_head", "cls.", "decoder."))


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _imported() -> Any:
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "torch") from error
    return torch
