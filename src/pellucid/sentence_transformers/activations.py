"""What turns a cross-encoder's logits into scores: a module of PyTorch, a name, or a function of the caller's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.checks import check_choice
from pellucid.errors import OptionError
from pellucid.layers.activations import ACTIVATIONS, BY_TORCH_CLASS
from pellucid.sentence_transformers.tensors import import_torch
from pellucid.types import Float32

_TORCH_CLASSES = {name: path.rpartition(".")[2] for path, name in BY_TORCH_CLASS.items()}


@dataclass(frozen=True)
class Activation:
    """One of Pellucid's activations. Its ``repr`` is that of PyTorch's module.

    >>> Activation("sigmoid"), Activation("sigmoid")([0])
    (Sigmoid(), array([0.5], dtype=float32))
    """

    name: str

    def __call__(self, scores: npt.ArrayLike) -> Float32:
        """Apply it to numbers of any shape."""
        return ACTIVATIONS[self.name](np.asarray(scores, dtype=np.float32))

    def __repr__(self) -> str:
        return f"{_TORCH_CLASSES[self.name]}()"


def as_activation(value: Any) -> Callable[[Any], Any]:
    """The activation that a caller means.

    A module of PyTorch that Pellucid has too becomes Pellucid's, so that it needs no tensor.

    Args:
        value: a module of PyTorch, a name such as ``"sigmoid"``, or a function of a tensor ``[n, labels]``.

    Raises:
        OptionError: it is none of these.
    """
    if isinstance(value, str):
        check_choice("activation_fn", value, sorted(_TORCH_CLASSES))
        return Activation(value)
    if not callable(value):
        raise OptionError(f"activation_fn is of type {type(value).__name__}; it must be a function or a name.")
    name = BY_TORCH_CLASS.get(f"{type(value).__module__}.{type(value).__qualname__}")
    is_ours = name is not None and getattr(value, "approximate", "none") == "none"  # GELU has a second form.
    return Activation(name) if name is not None and is_ours else value


def activate(function: Callable[[Any], Any], logits: Float32) -> Float32:
    """Turn logits, ``float32[n, labels]``, into scores.

    Raises:
        MissingExtraError: the function is the caller's, so it gets a tensor, and PyTorch is not installed.
    """
    if isinstance(function, Activation):
        return function(logits)
    torch = import_torch("an activation_fn of your own")
    with torch.inference_mode():
        return np.asarray(function(torch.from_numpy(logits)), dtype=np.float32)
