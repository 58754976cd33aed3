from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pellucid import Embedder, MultiVectorEmbedder, SparseEmbedder
from pellucid.embedding import EmbeddingTask
from pellucid.errors import OptionError
from tests import multi_vector_models, tiny

PROMPTS = {"query": "the ", "document": "cat ", "other": "dog "}
TASKS: list[tuple[type[EmbeddingTask], Callable[..., Path]]] = [
    (Embedder, tiny.write_model),
    (SparseEmbedder, tiny.write_splade_model),
    (MultiVectorEmbedder, multi_vector_models.write_model),
]


@pytest.mark.parametrize(("kind", "write"), TASKS)
def test_prompts_and_counts(tmp_path, kind, write):
    task = kind(write(tmp_path / "m", prompts=PROMPTS))
    assert (task.query_prompt, task.document_prompt) == ("the ", "cat ")
    assert (task.prompt_named(None), task.prompt_named("other")) == ("cat ", "dog ")
    with pytest.raises(OptionError, match="has no prompt 'none'"):
        task.prompt_named("none")
    counts = task.count_tokens(["", "cat", "cat " * 60])  # No prompt is counted, and nothing is cut.
    assert (counts.tolist(), counts.dtype) == ([2, 3, 62], np.int32)


@pytest.mark.parametrize(("kind", "write"), TASKS)
def test_a_model_without_prompts_has_empty_ones(tmp_path, kind, write):
    task = kind(write(tmp_path / "m"))
    assert (task.query_prompt, task.document_prompt) == ("", "")
