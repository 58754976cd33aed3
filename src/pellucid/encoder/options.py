"""What is asked of one call, beside its texts: judged against the model before any work."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.errors import OptionError
from pellucid.layers import head
from pellucid.model.spec import ModelSpec
from pellucid.text.checks import check_utf8

QUERY_PROMPTS = ("query",)
"""The names under which a model may have a prompt of its own for queries, as sentence-transformers looks for them."""
DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""And for documents."""


@dataclass(frozen=True)
class Request:
    """The options of a call.

    Attributes:
        prompt: what is put before each text; "" for nothing.
        normalize: None, as the model says; True, to unit length; False, not even if the model says so.
        truncate_dim: how many leading dimensions are kept; None for all.
        output_dtype: one of :data:`pellucid.layers.head.OUTPUT_DTYPES`.
    """

    prompt: str
    normalize: bool | None
    truncate_dim: int | None
    output_dtype: str


def judged(
    spec: ModelSpec,
    own_prompts: Sequence[str],
    prompt_name: str | None,
    prompt: str | None,
    normalize: bool | None,
    truncate_dim: int | None,
    output_dtype: str,
) -> Request:
    """The options as the caller gave them; ``own_prompts`` are the names to look for if no prompt is given.

    Raises:
        OptionError: one that the model cannot serve.
    """
    check_choice("output_dtype", output_dtype, head.OUTPUT_DTYPES)
    check_choice("normalize", normalize, (None, True, False))
    check_dimensions(truncate_dim, spec.dimensions)
    dimensions = None if truncate_dim is None else int(truncate_dim)  # It may have been a number of NumPy's.
    return Request(prompt_of(spec, own_prompts, prompt_name, prompt), normalize, dimensions, output_dtype)


def prompt_of(spec: ModelSpec, own_prompts: Sequence[str], prompt_name: str | None, prompt: str | None) -> str:
    """The prompt to use: the given one, the named one, or the first of ``own_prompts`` that the model has.

    Raises:
        OptionError: both are given, or there is no such prompt.
        TextError: it is not one that UTF-8 can write.
    """
    if prompt is not None:
        if prompt_name is not None:
            raise OptionError("give a prompt or a prompt_name, not both.")
        if not isinstance(prompt, str):
            raise OptionError(f"prompt is of type {type(prompt).__name__}; it must be a str.")
        check_utf8(prompt, "the prompt")
        return prompt
    prompts = spec.prompts
    if prompt_name is not None:
        if not isinstance(prompt_name, str) or prompt_name not in prompts:
            has = f"its prompts are {', '.join(map(repr, prompts))}" if prompts else "it has no prompts"
            raise OptionError(f"{spec.name} has no prompt {reprlib.repr(prompt_name)}: {has}.")
    else:
        prompt_name = next((name for name in own_prompts if name in prompts), None)
    if prompt_name is None:
        return ""
    check_utf8(prompts[prompt_name], f"the prompt {prompt_name!r} of {spec.name}")
    return prompts[prompt_name]


def check_dimensions(truncate_dim: int | None, dimensions: int) -> None:
    """Refuse a number of dimensions to keep that vectors of ``dimensions`` do not have."""
    if truncate_dim is not None and (
        isinstance(truncate_dim, bool)
        or not isinstance(truncate_dim, (int, np.integer))
        or not 1 <= truncate_dim <= dimensions
    ):
        raise OptionError(f"truncate_dim={reprlib.repr(truncate_dim)} must be a whole number from 1 to {dimensions}.")


def check_choice(option: str, value: object, choices: Sequence[object]) -> None:
    """Refuse a value that is none of ``choices``: one of its texts, or the very object, so that 1 is not True."""
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        raise OptionError(f"{option}={reprlib.repr(value)} is not one of {', '.join(map(repr, choices))}.")


def check_whole(option: str, value: object, low: int, high: int, what: str) -> int:
    """A whole number from ``low`` to ``high``; ``what`` says what that range is.

    Raises:
        OptionError: it is no such number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise OptionError(f"{option}={reprlib.repr(value)} must be a whole number {what}.")
    return int(value)
