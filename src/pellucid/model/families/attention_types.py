"""What config.json says about rotary positions, and about layers whose attention differs.

The keys are those of transformers: ``rope_parameters``, and, before its version 5, ``rope_theta`` and ``rope_scaling``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import cast

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.layers.rotary import LinearScaling, Llama3Scaling, Rotary, YarnScaling
from pellucid.model.config import Config
from pellucid.model.spec import AttentionSpec

_SCALINGS = ("default", "dynamic", "linear", "llama3", "yarn")


def read_layer_types(config: Config, default: Sequence[str], supported: Sequence[str]) -> list[str]:
    """The type of each layer's attention: ``layer_types``, or the default, which has one for each layer."""
    layer_types = config.values.get("layer_types")
    if layer_types is None:
        return list(default)
    is_valid = (
        isinstance(layer_types, list)
        and len(layer_types) == len(default)
        and all(layer_type in supported for layer_type in layer_types)
    )
    if not is_valid:
        raise InvalidModelError(
            f"{config.where}: layer_types must list one type for each of the {len(default)} layers. "
            f"Supported: {', '.join(supported)}."
        )
    return cast("list[str]", layer_types)


def read_window(config: Config, default: int) -> int | None:
    """``sliding_window``. If it is null, there is no window; if the key is missing, the default counts."""
    is_null = "sliding_window" in config.values and config.values["sliding_window"] is None
    return None if is_null else config.size("sliding_window", default)


def with_window(attention: AttentionSpec, window: int) -> AttentionSpec:
    """The same attention, in a window of a decoder.

    In a causal model, the window counts the token itself. In a decoder that looks both ways, a token sees so many on
    each side of itself. These are the rules of ``masking_utils.py`` in transformers.
    """
    if attention.after == 0:
        return dataclasses.replace(attention, before=window - 1)
    return dataclasses.replace(attention, before=window, after=window)


def read_rotary_of_model(config: Config, default_base: float, positions: int) -> Rotary:
    """The rotary positions of a model whose layers all have the same.

    Args:
        config: the model's config.json.
        default_base: the base if the config has none.
        positions: the maximum length of a text in tokens.
    """
    base = read_rotary_base(config, "rope_theta", default_base)
    section = config.section("rope_scaling" if config.values.get("rope_scaling") else "rope_parameters")
    # If both are there, the length beside the section counts, not the one in it. transformers does the same.
    if config.values.get("original_max_position_embeddings") is not None:
        original = config.size("original_max_position_embeddings")
        section = Config(section.where, section.values | {"original_max_position_embeddings": original})
    check_whole_heads(config)
    return read_rotary(section, base, positions)


def read_rotary(parameters: Config, default_base: float, positions: int) -> Rotary:
    """The rotary positions in the ``rope_parameters`` of transformers.

    Args:
        parameters: the section of config.json. It may be empty.
        default_base: the base if the section has none.
        positions: the length of the texts in the first part of the training, if the section does not say.

    Raises:
        InvalidModelError: a value is missing or broken.
        UnsupportedModelError: the frequencies are scaled in a way that Pellucid does not know.
    """
    base = read_rotary_base(parameters, "rope_theta", default_base)
    rope_type = parameters.string("rope_type", parameters.string("type", "default"))
    if rope_type not in _SCALINGS:
        raise UnsupportedModelError(
            f"{parameters.where}: rope_type {rope_type!r:.80} is not supported. Supported: {', '.join(_SCALINGS)}."
        )
    check_whole_heads(parameters)
    # "dynamic" scales for texts that are longer than max_position_embeddings. Pellucid cuts texts there.
    if rope_type in ("default", "dynamic"):
        return Rotary(base)
    factor = _positive(parameters, "factor")
    if rope_type == "linear":
        return Rotary(base, LinearScaling(factor))
    original = parameters.size("original_max_position_embeddings", positions)
    if rope_type == "llama3":
        low, high = _positive(parameters, "low_freq_factor"), _positive(parameters, "high_freq_factor")
        if low >= high:
            raise InvalidModelError(f"{parameters.where}: low_freq_factor must be below high_freq_factor.")
        return Rotary(base, Llama3Scaling(factor, low, high, original))
    return Rotary(
        base,
        YarnScaling(
            factor,
            original,
            magnitude=_read_magnitude(parameters, factor),
            fast=_positive(parameters, "beta_fast", 32.0),
            slow=_positive(parameters, "beta_slow", 1.0),
            truncate=parameters.flag("truncate", True),
        ),
    )


def check_whole_heads(config: Config) -> None:
    """Refuse rotary positions that leave a part of each head as it is."""
    if config.number("partial_rotary_factor", 1.0) != 1:
        raise UnsupportedModelError(
            f"{config.where}: partial_rotary_factor must be 1, so that whole heads are rotated."
        )


def read_rotary_base(config: Config, key: str, default: float) -> float:
    """The base of rotary positions: a finite number above 1."""
    base = config.number(key, default)
    if not 1 < base < math.inf:
        raise InvalidModelError(f"{config.where}: {key!r} is {base}, but must be finite and above 1.")
    return base


def _read_magnitude(parameters: Config, factor: float) -> float:
    """What YaRN multiplies cosines and sines by: what the config says, or the rule of the paper, section 3.4."""

    def rule(weight: float) -> float:
        return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0

    above, below = parameters.number("mscale", 0.0), parameters.number("mscale_all_dim", 0.0)
    default = rule(above) / rule(below) if above and below else rule(1.0)
    return _positive(parameters, "attention_factor", default)


def _positive(parameters: Config, key: str, default: float | None = None) -> float:
    """A finite number above 0."""
    number = parameters.number(key) if default is None else parameters.number(key, default)
    if not 0 < number < math.inf:
        raise InvalidModelError(f"{parameters.where}: {key!r} is {number}, but must be finite and above 0.")
    return number
