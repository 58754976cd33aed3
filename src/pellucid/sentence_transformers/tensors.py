"""Arrays and PyTorch's tensors. What comes as arrays goes out as arrays; a tensor goes out only if one came in."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import InputError, MissingExtraError
from pellucid.sparse_vectors import SparseVectors

Array = npt.NDArray[Any]


def import_torch(what: str) -> Any:
    """PyTorch. ``what`` needs it, for the message.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "torch", what) from error
    return torch


def is_tensor(value: object) -> bool:
    """Whether this is a tensor of PyTorch. PyTorch is not imported: without it, there are no tensors."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def as_array(values: Any, name: str = "embeddings") -> Array:
    """Vectors as an array.

    Lists of Python's floats become float32, as in PyTorch. Floats smaller than float32 become float32. Other arrays
    keep their type, and share their memory.

    Args:
        values: an array, a tensor, sparse vectors, or a list of arrays, of tensors, or of numbers.
        name: what a message calls them.

    Raises:
        InputError: they are no numbers, have different lengths.
    """
    if isinstance(values, np.ndarray):
        array = values
    elif isinstance(values, SparseVectors):
        array = values.to_dense()
    elif is_tensor(values):
        array = _from_tensor(values)
    elif isinstance(values, (list, tuple)) and len(values) and is_tensor(values[0]):
        array = _stack([_from_tensor(value) for value in values], name)
    else:
        array = _stack(values, name)
        has_arrays = isinstance(values, (list, tuple)) and len(values) and isinstance(values[0], np.ndarray)
        if array.dtype == np.float64 and not has_arrays and not hasattr(values, "__array__"):
            array = array.astype(np.float32)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} has values of type {array.dtype}; it must have numbers. Encode texts first.")
    return array.astype(np.float32) if array.dtype == np.float16 else array


def like(result: Array, *given: Any) -> Any:
    """The result as a tensor, on the device of the first tensor that was given; as an array if none was."""
    for value in given:
        first = value[0] if isinstance(value, (list, tuple)) and len(value) else value
        if is_tensor(first):
            return import_torch("a tensor").from_numpy(np.array(result, order="C")).to(first.device)
    return result


def _from_tensor(tensor: Any) -> Array:
    tensor = tensor.detach().cpu().to_dense()
    array: Array = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    return array


def _stack(values: Any, name: str) -> Array:
    try:
        return np.asarray(values)
    except ValueError:  # NumPy's message about lists of different lengths is hard to read.
        raise InputError(f"{name} is not an array: its vectors have different lengths.") from None
