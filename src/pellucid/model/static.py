"""Static models: a table with a vector for each token. A text's vector is the mean of its tokens' vectors.

There are two layouts. In sentence-transformers, the first module is ``StaticEmbedding``, and the table is the tensor
"embedding.weight". In model2vec (https://github.com/MinishLab/model2vec), ``config.json`` has the ``model_type``
"model2vec", and the table is the tensor "embeddings". It may come with the tensor "mapping", the row of each token, if
tokens share rows, and with the tensor "weights", a factor for each token. If a folder has both ``modules.json`` and
such a ``config.json``, it is read as sentence-transformers reads it.
"""

from __future__ import annotations

import re
from typing import Literal

import numpy as np

from pellucid.errors import InvalidModelError
from pellucid.model.config import Config
from pellucid.model.spec import NO_LIMIT, EmbeddingSpec, EncoderSpec, TokenizerSpec
from pellucid.model.stored import TokenTable
from pellucid.model.tensors import Tensors
from pellucid.sources.files import ModelFiles

_MODEL2VEC_TABLE = "embeddings"
_TABLE_NAMES = ("embedding.weight", _MODEL2VEC_TABLE)
"""The first is sentence-transformers' own name. Next to it, "mapping" and "weights" mean nothing."""
_MODEL2VEC_MAX_LENGTH = 512
"""model2vec's ``max_length``, if config.json does not say."""
_TRUNCATION = re.compile(rb'"truncation"\s*:\s*(?:null|\{([^{}]*)\})')


def read_encoder_spec(files: ModelFiles, folder: str) -> EncoderSpec:
    """The shape of a static model, which only its tensors say.

    Raises:
        InvalidModelError: there is no table, or it or a tensor next to it has a shape that cannot be.
    """
    tensors = Tensors.open(files, folder)
    name = _table_name(tensors)
    rows, size = _shape(tensors, name, 2)
    is_shared, is_weighted = (name == _MODEL2VEC_TABLE and other in tensors for other in ("mapping", "weights"))
    vocab_size = _shape(tensors, "mapping", 1)[0] if is_shared else rows
    return EncoderSpec(
        family="static",
        hidden_size=size,
        embedding=EmbeddingSpec(
            vocab_size=vocab_size,
            positions=NO_LIMIT,
            norm=None,
            position_table=False,
            rows=rows if is_shared else None,
            weighted=is_weighted,
        ),
        blocks=(),
    )


def read_tokenizer_spec(files: ModelFiles, folder: str) -> TokenizerSpec:
    """How a static model's texts are tokenized.

    ``StaticEmbedding`` of sentence-transformers has no limit of its own, but keeps the one in ``tokenizer.json``, if
    there is one. model2vec ignores that limit, and has one in its config.json.

    Raises:
        InvalidModelError: the limit is not a whole number of at least 1.
    """
    if not files.has("modules.json"):
        config = Config.read(files, "config.json")
        unlimited = "max_length" in config.values and config.values["max_length"] is None
        limit = NO_LIMIT if unlimited else config.size("max_length", _MODEL2VEC_MAX_LENGTH, maximum=NO_LIMIT)
        return TokenizerSpec(folder, limit, False, "right", has_segments=False, rules="model2vec")
    name = f"{folder}/tokenizer.json" if folder else "tokenizer.json"
    limit, side = _read_truncation(files, name)
    return TokenizerSpec(folder, limit, False, side, has_segments=False, rules="tokenizer.json")


def read_table(files: ModelFiles, folder: str, spec: EncoderSpec) -> TokenTable:
    """Map a static model's table, and check it.

    Raises:
        InvalidModelError: a tensor is missing, has another shape, or holds NaN or infinity; or the mapping leads to a
            row that is not there.
        UnsupportedModelError: a tensor has a type that Pellucid does not read.
    """
    tensors = Tensors.open(files, folder)
    embedding = spec.embedding
    rows = embedding.vocab_size if embedding.rows is None else embedding.rows
    mapping = None
    if embedding.rows is not None:
        stored = tensors.read_integers("mapping", (embedding.vocab_size,))
        wrong = stored[(stored < 0) | (stored >= rows)]
        if len(wrong):
            raise InvalidModelError(
                f"{tensors.name}: tensor 'mapping' leads to the row {wrong[0]}, but the table has the rows 0 to "
                f"{rows - 1}. Get the model's files again."
            )
        mapping = stored.astype(np.int32)
    return TokenTable(
        rows=tensors.read_as_stored(_table_name(tensors), (rows, spec.hidden_size), allow_int8=True),
        mapping=mapping,
        weights=tensors.read("weights", (embedding.vocab_size,)) if embedding.weighted else None,
    )


def _table_name(tensors: Tensors) -> str:
    found = next((name for name in _TABLE_NAMES if name in tensors), None)
    if found is None:
        raise InvalidModelError(
            f"{tensors.name}: the weights have no tensor {' or '.join(map(repr, _TABLE_NAMES))}, which a static model "
            f"must have. The files may belong to different models."
        )
    return found


def _shape(tensors: Tensors, name: str, dimensions: int) -> tuple[int, ...]:
    shape = tensors.shape(name)
    if len(shape) != dimensions or not all(0 < size < NO_LIMIT for size in shape):
        raise InvalidModelError(
            f"{tensors.name}: tensor {name!r} has the shape {list(shape)!s:.80}, but must have {dimensions} "
            f"dimension{'s' if dimensions > 1 else ''}, none of them 0."
        )
    return shape


def _read_truncation(files: ModelFiles, name: str) -> tuple[int, Literal["left", "right"]]:
    """The limit in a tokenizer.json, and the side on which it cuts.

    Parsing the whole file would take up to half a second. The library writes this object near its beginning, and no
    other text in the file looks like it.
    """
    match = _TRUNCATION.search(files.read(name))
    if match is None or match[1] is None:
        return NO_LIMIT, "right"
    length = re.search(rb'"max_length"\s*:\s*(\d{1,9})\b', match[1])
    if length is None or not 0 < int(length[1]) <= NO_LIMIT:
        raise InvalidModelError(
            f"{files.name}: {name}: the max_length of 'truncation' must be a whole number from 1 to {NO_LIMIT:,}."
        )
    is_left = re.search(rb'"direction"\s*:\s*"[Ll]eft"', match[1]) is not None
    return int(length[1]), "left" if is_left else "right"
