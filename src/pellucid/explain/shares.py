"""Which token a vector owes what: exact where the way from token vectors to the vector is linear.

Mean pooling is linear, and dividing by the length is dividing by a number. So a vector is the sum of one part for each
token, and the cosine of two is the sum, over all pairs of a token here and one there, of the products of their parts.
Nothing is approximated. Where pooling picks instead of adding, or the head bends, there are no such parts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.layers.dense import Dense
from pellucid.layers.finish import Pool
from pellucid.layers.norms import LayerNorm
from pellucid.types import Float32

Float64 = npt.NDArray[np.float64]

_LINEAR = ("mean", "mean_sqrt_len_tokens", "weightedmean")


def why_not(finish: Pool) -> str | None:
    """Why the vectors of a finish are no sums of their tokens' parts; None if they are."""
    if "max" in finish.pooling.modes:
        return "max pooling takes each number from one token and none from the others"
    for mode, which in (("cls", "first"), ("lasttoken", "last")):
        if mode in finish.pooling.modes:
            return f"{mode} pooling takes the {which} token's vector alone; the others act through attention"
    for module in finish.modules:
        if isinstance(module, Dense) and module.activation != "identity":
            return f"a Dense layer with the activation {module.activation!r} follows the pooling"
    return None


def parts(vectors: Float32, finish: Pool) -> Float64:
    """Each token's part of a text's vector.

    Args:
        vectors: ``float32[n, hidden]``, the encoder's last hidden state for one text.
        finish: what makes the text's vector of them; :func:`why_not` must be None.

    Returns:
        ``float64[n, d]``; if there are any, the rows sum to the model's vector, normalised only if the model does so.
    """
    skip = 0 if finish.pooling.include_prompt else finish.prompt_tokens
    weights = np.stack([_weights(mode, len(vectors), skip) for mode in finish.pooling.modes])
    each = np.concatenate([weight[:, None] * vectors.astype(np.float64) for weight in weights], axis=1)
    # What does not depend on any token, such as a bias, is shared out evenly among those that count; or among all, if
    # the prompt alone is longer than what the model reads, and none does.
    counted = np.any(weights, axis=0, keepdims=True).T
    counted |= not counted.any()
    evenly = counted / max(1, counted.sum())
    for module in finish.modules:
        whole = each.sum(axis=0)
        if isinstance(module, Dense):
            bias = np.zeros(len(module.weight)) if module.bias is None else module.bias
            linear = each @ module.weight.T + evenly * bias
            if module.use_residual:
                linear = linear + (each if module.residual is None else each @ module.residual.T)
            each = linear
        elif isinstance(module, LayerNorm):
            deviation = np.sqrt(whole.var() + module.eps)
            each = (each - each.mean(axis=1, keepdims=True)) / deviation * module.weight + evenly * module.bias
        else:
            each = each / max(float(np.linalg.norm(whole)), 1e-12)
    return each


def _weights(mode: str, n: int, skip: int) -> Float64:
    """What each token's vector is multiplied with: ``float64[n]``. As :mod:`pellucid.layers.pooling` has it."""
    weights = np.zeros(n)
    if mode not in _LINEAR:
        raise AssertionError(f"{mode} pooling is no weighted sum")
    if skip < n:
        weights[skip:] = np.arange(skip + 1, n + 1) if mode == "weightedmean" else 1
        weights /= np.sqrt(n - skip) if mode == "mean_sqrt_len_tokens" else weights.sum()
    return weights
