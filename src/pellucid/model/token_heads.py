"""The two heads that BGE-M3 has besides its dense vector (Chen et al., "BGE M3-Embedding", 2024).

``sparse_linear`` gives each token of a text a weight, and ``colbert_linear`` gives each token but the first a vector.
No list of modules has them: they are files beside ``modules.json``. BAAI publishes them as pickles,
``sparse_linear.pt`` and ``colbert_linear.pt``, which Pellucid never reads. It reads the same tensors, ``weight`` and
``bias``, from ``sparse_linear.safetensors`` and ``colbert_linear.safetensors``.
"""

from __future__ import annotations

from pellucid.errors import InvalidModelError
from pellucid.layers.pooling import Pooling
from pellucid.model.spec import DenseSpec, LateInteractionSpec, NormalizeSpec, Stage, TokenMaskSpec
from pellucid.model.tensors import Tensors
from pellucid.sources.files import ModelFiles

LEXICAL, LATE = "sparse_linear", "colbert_linear"


def read_token_heads(
    files: ModelFiles, stages: tuple[Stage, ...], hidden_size: int
) -> tuple[LateInteractionSpec | None, DenseSpec | None]:
    """Read what each head is like.

    Args:
        files: the files of the model.
        stages: the stages after the transformer. Only a model that pools can have these heads.
        hidden_size: the length of a token's vector.

    Returns:
        How the model gives each token a vector, and the layer that gives each token a weight; None for what the model
        does not have.

    Raises:
        InvalidModelError: a file is broken, or does not fit the encoder.
    """
    if not (stages and isinstance(stages[0], Pooling)):
        return None, None
    late = _read_head(files, LATE, hidden_size, "identity")
    lexical = _read_head(files, LEXICAL, hidden_size, "relu")
    if lexical is not None and lexical.out_features != 1:
        raise InvalidModelError(
            f"{files.name}: {lexical.file} gives each token {lexical.out_features} numbers, but it must be one weight."
        )
    if late is None:
        return None, lexical
    # The first token, <s>, has no vector, in queries and documents alike.
    return LateInteractionSpec((late, TokenMaskSpec(first=1), NormalizeSpec(of_tokens=True))), lexical


def why_no_head(files: ModelFiles, head: str) -> str:
    """A sentence for a model that has this head as a pickle only; "" for other models.

    Args:
        files: the files of the model.
        head: :data:`LEXICAL` or :data:`LATE`.
    """
    pickle = f"{head}.pt"
    if pickle not in files.listing and not files.has(pickle):
        return ""
    return (
        f"{files.name}: {pickle} is a pickle, which Pellucid never reads, because unpickling runs whatever code the "
        f"file holds. Convert it to {head}.safetensors once, as docs/guides/bge-m3.md shows, and load that folder."
    )


def _read_head(files: ModelFiles, head: str, hidden_size: int, activation: str) -> DenseSpec | None:
    name = f"{head}.safetensors"
    if not files.has(name):
        return None
    tensors = Tensors.open_file(files, name)
    outputs, *rest = tensors.shape("weight") if "weight" in tensors else (0,)
    if not outputs or rest != [hidden_size]:
        raise InvalidModelError(
            f"{files.name}: {name} must have a tensor 'weight' of the shape [n, {hidden_size}], which is the length of "
            f"the encoder's vectors."
        )
    return DenseSpec("", hidden_size, outputs, activation, bias="bias" in tensors, of_tokens=True, file=name)
