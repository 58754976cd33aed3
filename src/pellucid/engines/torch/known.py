"""The models of transformers. This is the only file that imports it.

Weights are read only from safetensors, and a model's own code is never run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pellucid.engines.torch.steps import DeviceBatch
from pellucid.errors import InvalidModelError, MissingExtraError, UnsupportedModelError


class TransformersEncoder:
    """A model that ``AutoModel`` loads, on a device. It takes texts side by side, padded at the end and masked.

    Args:
        folder: the folder of the model's config.json and safetensors.
        device: PyTorch's name of the device.
        dtype: the number type of the arithmetic.

    Attributes:
        min_length_ratio: every text of a step should be at least this fraction of the length of the longest.

    Raises:
        MissingExtraError: the extra ``torch`` is not installed.
        UnsupportedModelError: transformers does not support the architecture, or the model has no safetensors.
        InvalidModelError: weights are missing, or have another shape.
    """

    def __init__(self, folder: Path, device: str, dtype: torch.dtype) -> None:
        # On a CPU, only texts of equal length go together, so there is no padding. On a GPU, larger steps are worth one
        # eighth of padding.
        self.min_length_ratio = 1.0 if device == "cpu" else 0.875
        self._model = _load_model(folder, dtype).eval().to(device)

    def states(self, step: DeviceBatch) -> torch.Tensor:
        """The last hidden state, ``[T, hidden]``."""
        inputs = {"input_ids": step.side_by_side(step.ids)}
        if not step.has_equal_lengths:
            inputs["attention_mask"] = step.is_token.long()
        if step.segments is not None:
            inputs["token_type_ids"] = step.side_by_side(step.segments)
        return step.end_to_end(self._model(**inputs).last_hidden_state)


def _load_model(folder: Path, dtype: torch.dtype) -> Any:
    try:
        from transformers import AutoConfig, AutoModel
    except ImportError as error:
        raise MissingExtraError(error.name or "transformers", "torch") from error
    safe_options = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(folder, **safe_options)
        model, loading_info = AutoModel.from_pretrained(
            folder, config=config, use_safetensors=True, output_loading_info=True, dtype=dtype, **safe_options
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise UnsupportedModelError(
            f"transformers cannot load the model ({_first_line(error)}). The architecture must be part of "
            f"transformers, because Pellucid never runs code from a model, and the weights must be in safetensors."
        ) from error
    missing = sorted(name for name in loading_info["missing_keys"] if not _is_unused(name))
    mismatched = sorted(loading_info["mismatched_keys"], key=str)
    if missing or mismatched:
        # transformers would continue with random numbers in their place.
        name = missing[0] if missing else mismatched[0]
        raise InvalidModelError(
            f"the weights have no tensor {name!r} of the size that config.json gives. Get the model's files again."
        )
    return model.get_encoder() if config.is_encoder_decoder else model


def _is_unused(name: str) -> bool:
    """True if the token vectors do not depend on this weight, as on those of the head that a model was trained with."""
    return "pooler." in name or name.startswith(("lm_head", "cls.", "decoder."))


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
