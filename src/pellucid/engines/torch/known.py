"""The models of transformers, which is imported here and nowhere else.

Weights are read from safetensors alone, and no code of a model is run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pellucid.engines.torch.steps import DeviceBatch
from pellucid.errors import InvalidModelError, MissingExtraError, UnsupportedModelError


class KnownEncoder:
    """A model as ``AutoModel`` loads it, on a device. It takes texts side by side, padded at the end and masked.

    Args:
        folder: of the model's config.json and safetensors.
        device: as PyTorch names it.
        dtype: of the arithmetic.

    Attributes:
        least_share: how long the shortest text of a step is best, at least, beside the longest.

    Raises:
        MissingExtraError: the extra ``torch`` is not installed.
        UnsupportedModelError: transformers does not know the architecture, or there are no safetensors.
        InvalidModelError: weights are missing, or are of another shape.
    """

    def __init__(self, folder: Path, device: str, dtype: torch.dtype) -> None:
        # On a CPU equally long texts go together, without padding; to a GPU, larger steps are worth an eighth of it.
        self.least_share = 1.0 if device == "cpu" else 0.875
        self._model = _loaded(folder, dtype).eval().to(device)

    def states(self, step: DeviceBatch) -> torch.Tensor:
        """The last hidden state, ``[T, hidden]``."""
        inputs = {"input_ids": step.side_by_side(step.ids)}
        if not step.even:
            inputs["attention_mask"] = step.inside.long()
        return step.end_to_end(self._model(**inputs).last_hidden_state)


def _loaded(folder: Path, dtype: torch.dtype) -> Any:
    try:
        from transformers import AutoConfig, AutoModel
    except ImportError as error:
        raise MissingExtraError(error.name or "transformers", "torch") from error
    own = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(folder, **own)
        model, told = AutoModel.from_pretrained(
            folder, config=config, use_safetensors=True, output_loading_info=True, dtype=dtype, **own
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
    return model.get_encoder() if config.is_encoder_decoder else model


def _is_unused(name: str) -> bool:
    """Whether a weight has no part in the token vectors: the head that a model was trained with."""
    return "pooler." in name or name.startswith(("lm_head", "cls.", "decoder."))


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
