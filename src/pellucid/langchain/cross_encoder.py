"""A drop-in for ``langchain_community.cross_encoders.HuggingFaceCrossEncoder``."""

from __future__ import annotations

from typing import Any

from pellucid.errors import MissingExtraError

try:
    from langchain_core.cross_encoders import BaseCrossEncoder
    from pydantic import BaseModel, ConfigDict, Field
except ImportError as error:
    raise MissingExtraError("langchain-core>=1.3", "langchain", "HuggingFaceCrossEncoder") from error

from pellucid.scoring import check_pairs
from pellucid.sentence_transformers import CrossEncoder


class HuggingFaceCrossEncoder(BaseModel, BaseCrossEncoder):
    """Cross-encoders for LangChain, without PyTorch. Fields and scores are those of the class in langchain-community.

    The constructor finds the model's files, downloads them only if there is no copy on disk, and loads them.

    Example:
        >>> model = HuggingFaceCrossEncoder(model_name="BAAI/bge-reranker-base")   # doctest: +SKIP
        >>> reranker = CrossEncoderReranker(model=model, top_n=3)                  # doctest: +SKIP

    Raises:
        TypeError, OptionError: a key of ``model_kwargs``, or its value, is not supported.
        ModelError: the model cannot be loaded; see :class:`~pellucid.Reranker`.
    """

    client: Any = None
    """The :class:`~pellucid.sentence_transformers.CrossEncoder` behind it. The constructor makes it."""
    model_name: str = "BAAI/bge-reranker-base"
    """A Hub name, or a folder."""
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Options of :class:`~pellucid.sentence_transformers.CrossEncoder`: ``device``, ``max_length``, …; and
    Pellucid's own: ``dtype``, ``engine``, ``threads``, ``on_truncation``."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.client = CrossEncoder(self.model_name, **self.model_kwargs)

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Score pairs of texts: a float for each pair.

        As in langchain-community, the score is that of the second label if the model has several: models of two labels
        name "not relevant" first and "relevant" second.

        Raises:
            TextTypeError, TextError: a pair cannot be used; its position is given. Nothing was computed.
        """
        scores = self.client.predict(check_pairs(text_pairs))
        column: list[float] = (scores[:, 1] if scores.ndim > 1 else scores).tolist()
        return column
