"""scikit-learn: a transformer that turns texts into vectors, for pipelines."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from pellucid.embedder import Embedder
from pellucid.text.checks import as_list
from pellucid.types import Float32

_loaded: weakref.WeakValueDictionary[str, Embedder] = weakref.WeakValueDictionary()
"""The models in use. Copies of a transformer share them, as in a grid search."""


class TextVectorizer(TransformerMixin, BaseEstimator):
    """Turns texts into vectors.

    Clones share the loaded model. A pickle holds the model's name, and loads the model where it is used again.

    Args:
        model_name: a Hub name, a short name, or a folder.
        options: options of :class:`~pellucid.Embedder`, such as ``{"dtype": "int8"}``.
        prompt_name: put the model's prompt of this name before each text; None for its prompt for documents.
        normalize: True for unit length, False for none, None for what the model does.
        truncate_dim: keep only this many leading dimensions.

    Attributes:
        n_features_out_: the length of a vector.
    """

    def __init__(
        self,
        model_name: str = "all-MiniLM-L6-v2",
        *,
        options: Mapping[str, Any] | None = None,
        prompt_name: str | None = None,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
    ) -> None:
        self.model_name = model_name
        self.options = options
        self.prompt_name = prompt_name
        self.normalize = normalize
        self.truncate_dim = truncate_dim

    def fit(self, X: Iterable[str], y: object = None) -> TextVectorizer:  # noqa: ARG002, N803  scikit-learn's names.
        """Load the model. It learns nothing from the texts."""
        self.n_features_out_ = self.truncate_dim or self._embedder().dimensions
        return self

    def transform(self, X: Iterable[str]) -> Float32:  # noqa: N803  scikit-learn's name.
        """Turn texts into ``float32[n, d]``."""
        check_is_fitted(self)
        vectors: Float32 = self._embedder().embed_documents(
            as_list(X, "X"),
            prompt_name=self.prompt_name,
            normalize=self.normalize,
            truncate_dim=self.truncate_dim,
        )
        return vectors

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[np.object_]:  # noqa: ARG002
        """The names of the numbers: ``textvectorizer0``, …"""
        check_is_fitted(self)
        return np.array([f"textvectorizer{number}" for number in range(self.n_features_out_)], dtype=object)

    def __getstate__(self) -> dict[str, Any]:
        """The state for a pickle: without the model."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_held"}

    def _embedder(self) -> Embedder:
        key = repr((self.model_name, sorted((self.options or {}).items())))
        if getattr(self, "_held", (None, None))[0] != key:
            embedder = _loaded.get(key)
            if embedder is None:
                embedder = _loaded[key] = Embedder(self.model_name, **(self.options or {}))
            self._held = key, embedder
        held: Embedder = self._held[1]
        return held
