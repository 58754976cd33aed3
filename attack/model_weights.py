"""Hostile weight files: wrong tensors, extreme numbers, and headers that do not match the content."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from attack.strange_files import replace_file

EXTREME_VALUES = (np.finfo(np.float32).max, 1e38, 1e30, 1e20, 1e10, 1e-40, 1e-45, 0.0, -0.0, np.inf, -np.inf, np.nan)
FALSE_NUMBERS = (0, -1, 1, 2, 7, 2**31, 2**32 + 1, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 0.5, None, "8", [8], True)


def change_numbers(rng: random.Random, path: Path) -> None:
    """Change one number, consecutive numbers, or a whole tensor."""
    tensors = load_file(path)
    for _ in range(rng.choice((1, 1, 3))):
        name = rng.choice(sorted(tensors))
        flat, value = tensors[name].reshape(-1).copy(), rng.choice(EXTREME_VALUES)
        if not len(flat):
            continue
        place = rng.randrange(len(flat))
        flat[place : rng.choice((place + 1, place + 16, len(flat)))] = value
        if rng.random() < 0.2:
            flat *= np.float32(value if np.isfinite(value) else 1e15)
        tensors[name] = flat.reshape(tensors[name].shape)
    _save(tensors, path)


def change_tensors(rng: random.Random, path: Path) -> None:
    """Rename, remove, add or swap tensors, or change their shape or type."""
    tensors = load_file(path)
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice(sorted(tensors))
        tensor = tensors[name]
        choice = rng.randrange(8)
        if choice == 0 and len(tensors) > 1:
            del tensors[name]
        elif choice == 1:
            tensors[rng.choice(("", "x", name + ".weight", "bert." + name, "../" + name, name * 50, "\x1b[31m"))] = (
                tensor
            )
        elif choice == 2:
            tensors[name] = np.ascontiguousarray(tensor.T)
        elif choice == 3:
            tensors[name] = tensor.reshape(rng.choice(((-1,), (1, -1), (-1, 1), (1, 1, -1))))
        elif choice == 4:
            tensors[name] = tensor[: rng.choice((0, 1, len(tensor) - 1))].copy()
        elif choice == 5:
            tensors[name] = np.concatenate([tensor, tensor])
        elif choice == 6:
            with np.errstate(all="ignore"):
                tensors[name] = tensor.astype(rng.choice(("f2", "f8", "i8", "i4", "i1", "u1", "?")))
        else:
            other = rng.choice(sorted(tensors))
            tensors[name], tensors[other] = tensors[other], tensor
    _save(tensors, path)


def falsify_header(rng: random.Random, path: Path) -> None:
    """Write false types, shapes and offsets into the header."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    for _ in range(rng.choice((1, 1, 2, 5))):
        entry = header[rng.choice([name for name in header if name != "__metadata__"])]
        choice = rng.randrange(6)
        if choice == 0:
            entry["data_offsets"] = [rng.choice(FALSE_NUMBERS), rng.choice(FALSE_NUMBERS)]
        elif choice == 1:
            entry["data_offsets"] = dict(rng.choice(list(header.values()))).get("data_offsets", [0, 0])
        elif choice == 2:
            entry["shape"] = [rng.choice(FALSE_NUMBERS) for _ in range(rng.choice((0, 1, 2, 3, 70)))]
        elif choice == 3:
            entry["dtype"] = rng.choice(
                ("F16", "BF16", "F64", "I64", "BOOL", "F8_E4M3", "F4", "U4", "", "f32", 7, None)
            )
        elif choice == 4:
            header["__metadata__"] = rng.choice(({"a": 1}, [], "x", None, {"": ""}, {"format": "x" * 100_000}))
        else:
            entry.pop(rng.choice(("dtype", "shape", "data_offsets")), None)
    _write_with_header(json.dumps(header).encode(), content[8 + length :], path)


def break_header(rng: random.Random, path: Path) -> None:
    """Give the header a wrong length, list each tensor twice, add many tensors, or write JSON that is not a header."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header, rest = content[8 : 8 + length], content[8 + length :]
    choice = rng.randrange(5)
    if choice == 0:
        stated_length = rng.choice((0, 1, length - 1, length + 1, len(content), 10**8, 2**31, 2**63, 2**64 - 1))
        replace_file(path, stated_length.to_bytes(8, "little") + header + rest)
    elif choice == 1:
        _write_with_header(header[:-1] + b"," + header[1:], rest, path)  # The header lists each tensor twice.
    elif choice == 2:
        _write_with_header(
            rng.choice((b"[" * 100_000, b'{"a":' * 50_000, b"{}", b"null", b"[]", b'{"a":{}}')), rest, path
        )
    elif choice == 3:
        _write_with_header(b" " * 1_000_000 + header, rest, path)
    else:
        entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
        many = {f"t{number}": entry for number in range(rng.choice((1000, 100_000)))}
        _write_with_header(json.dumps(many | json.loads(header)).encode(), rest, path)


CHANGES: tuple[Callable[[random.Random, Path], None], ...] = (
    *(change_numbers, change_numbers, change_tensors, change_tensors),
    *(falsify_header, break_header),
)


def _write_with_header(header: bytes, rest: bytes, path: Path) -> None:
    replace_file(path, len(header).to_bytes(8, "little") + header + rest)


def _save(tensors: dict[str, np.ndarray[Any, Any]], path: Path) -> None:
    path.unlink()
    save_file(tensors, path)
