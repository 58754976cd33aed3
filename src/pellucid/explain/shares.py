"""How much each token contributes to a vector. The answer is exact where pooling and the layers after it are linear.

Mean pooling is linear, and normalizing divides by one number. A vector is then a sum with one part for each token. The
cosine of two texts is a sum over all pairs of tokens, one from each text: every pair adds the product of its two parts.
Nothing is approximated. There are no such parts where pooling selects numbers instead of adding them up, or where a
layer after the pooling is not linear.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.layers.dense import Dense
from pellucid.layers.finish import Pool
from pellucid.layers.norms import LayerNorm, Normalize
from pellucid.types import Float32

Float64 = npt.NDArray[np.float64]

_LINEAR_MODES = ("mean", "mean_sqrt_len_tokens", "weightedmean")


def why_no_parts(finish: Pool) -> str | None:
    """Say why a vector is not a sum with one part for each token; None if it is."""
    if "max" in finish.pooling.modes:
        return "max pooling takes each number from one token and none from the others"
    for mode, which in (("cls", "first"), ("lasttoken", "last")):
        if mode in finish.pooling.modes:
            return f"{mode} pooling uses only the {which} token's vector; the others act through attention alone"
    for module in finish.modules:
        if isinstance(module, Dense) and module.activation != "identity":
            return f"a Dense layer with the non-linear activation {module.activation!r} follows the pooling"
        if not isinstance(module, Dense | LayerNorm | Normalize):
            return f"a layer of the kind {type(module).__name__}, which cannot be split, follows the pooling"
    return None


def token_parts(vectors: Float32, finish: Pool) -> Float64:
    """Split a text's vector into one part for each token.

    Args:
        vectors: ``float32[n, hidden]``, the encoder's last hidden state for one text.
        finish: how the model makes the text's vector from them; :func:`why_no_parts` must be None for it.

    Returns:
        ``float64[n, d]``. If the text has tokens, the rows sum to the model's vector; that vector has unit length only
        if the model normalizes it.
    """
    skip = 0 if finish.pooling.include_prompt else finish.prompt_tokens
    weights = np.stack([_pooling_weights(mode, len(vectors), skip) for mode in finish.pooling.modes])
    parts = np.concatenate([weight[:, None] * vectors.astype(np.float64) for weight in weights], axis=1)
    # A bias belongs to no token. All tokens that are pooled get an equal share of it. If none is pooled, because the
    # prompt alone is longer than the model reads, all tokens do.
    pooled = np.any(weights, axis=0, keepdims=True).T
    pooled |= not pooled.any()
    equal_shares = pooled / max(1, pooled.sum())
    for module in finish.modules:
        whole = parts.sum(axis=0)
        if isinstance(module, Dense):
            bias = np.zeros(len(module.weight)) if module.bias is None else module.bias
            linear = parts @ module.weight.T + equal_shares * bias
            if module.use_residual:
                linear = linear + (parts if module.residual is None else parts @ module.residual.T)
            parts = linear
        elif isinstance(module, LayerNorm):
            deviation = np.sqrt(whole.var() + module.eps)
            parts = (parts - parts.mean(axis=1, keepdims=True)) / deviation * module.weight + equal_shares * module.bias
        elif isinstance(module, Normalize):
            parts = parts / max(float(np.linalg.norm(whole)), 1e-12)
    return parts


def _pooling_weights(mode: str, n: int, skip: int) -> Float64:
    """The factor of each token's vector in the pooled vector, ``float64[n]``, as in :mod:`pellucid.layers.pooling`."""
    weights = np.zeros(n)
    if mode not in _LINEAR_MODES:
        raise AssertionError(f"{mode} pooling is not a weighted sum")
    if skip < n:
        weights[skip:] = np.arange(skip + 1, n + 1) if mode == "weightedmean" else 1
        weights /= np.sqrt(n - skip) if mode == "mean_sqrt_len_tokens" else weights.sum()
    return weights
