"""Models of late interaction, which give each token of a text a vector (Khattab and Zaharia, "ColBERT", 2020).

Their files have one of three layouts. sentence-transformers lists ``MultiVectorMask`` among the modules. PyLate has its
settings in ``config_sentence_transformers.json``, and lists only linear layers. Stanford's ColBERT has no list of
modules, but ``artifact.metadata``, and its linear layer is among the encoder's own weights.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.layers.pooling import Pooling
from pellucid.model.config import Config, architectures
from pellucid.model.modules import ModuleEntry, read_words
from pellucid.model.spec import (
    DenseSpec,
    ExpansionSpec,
    LateInteractionSpec,
    NormalizeSpec,
    Stage,
    TokenMaskSpec,
    TokenPoolingSpec,
)
from pellucid.sources.files import ModelFiles

_PREFIXES = (("query", "query_prefix"), ("document", "document_prefix"))
_PYLATE_KEYS = (
    *("query_length", "document_length", "query_expansion", "do_query_expansion", "attend_to_expansion_tokens"),
    *("attend_to_mask_tokens", "query_prefix", "document_prefix", "skiplist_words"),
)
"""A config with one of these keys is PyLate's."""
_OWN_KEYS = ("query_length", "document_length", "query_expansion")
_USUAL_QUERY_LENGTH, _USUAL_WIDTH = 32, 128
_STANFORD = "HF_ColBERT"
"""What Stanford's files call their class."""


@dataclass(frozen=True)
class Layout:
    """What the files say about late interaction, besides the list of modules.

    Attributes:
        values: query_length, document_length and query_expansion, under sentence-transformers' names.
        where: the file that they come from, for messages.
        prompts: the prompts that stand for markers of queries and documents.
        markers: the markers that may be tokens of the vocabulary.
        skipped: the tokens that are left out of documents, for a model whose list of modules does not have them.
        is_complete: True if the list of modules has everything.
        width: the length of the vectors that a linear layer among the encoder's weights gives; None without such.
    """

    values: Mapping[str, Any]
    where: str
    prompts: Mapping[str, str] = field(default_factory=dict)
    markers: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    is_complete: bool = True
    width: int | None = None


def find_layout(files: ModelFiles, entries: list[ModuleEntry], config: Config, settings: Config) -> Layout | None:
    """Tell whether a model does late interaction, and read what its files say.

    Args:
        files: the files of the model.
        entries: the modules after the transformer.
        config: the encoder's config.json.
        settings: ``config_sentence_transformers.json``.

    Returns:
        The layout; None for a model of another kind.

    Raises:
        InvalidModelError: a value is broken.
    """
    kind = settings.string("model_type", "SentenceTransformer")
    is_pylate = any(key in settings.values for key in _PYLATE_KEYS)
    if kind == "MultiVectorEncoder" or any(entry.kind == "MultiVectorMask" for entry in entries):
        return _read_settings(settings, is_pylate=is_pylate, is_complete=True)
    if kind == "ColBERT" or (kind == "SentenceTransformer" and is_pylate):
        return _read_settings(settings, is_pylate=is_pylate, is_complete=False)
    if not files.has("modules.json") and _STANFORD in architectures(config):
        return _read_metadata(Config.read_if_present(files, "artifact.metadata"))
    return None


def stages_of(layout: Layout, stages: tuple[Stage, ...], hidden_size: int) -> tuple[Stage, ...]:
    """The stages of the model, from those that its list of modules has.

    Raises:
        UnsupportedModelError: a stage works on pooled vectors, or similar vectors are merged before the end.
    """
    if layout.width is not None:
        stages = (DenseSpec("", hidden_size, layout.width, "identity", bias=False, of_tokens=True),)
    elif not layout.is_complete:
        stages = tuple(
            replace(stage, of_tokens=True) if isinstance(stage, DenseSpec) else stage
            for stage in stages
            if not isinstance(stage, Pooling) and stage != NormalizeSpec()
        )
    if not layout.is_complete:
        stages += (TokenMaskSpec(layout.skipped), NormalizeSpec(of_tokens=True))
    # A Normalize of pooled vectors does nothing, because there are none.
    stages = tuple(stage for stage in stages if stage != NormalizeSpec())
    for number, stage in enumerate(stages, start=1):
        is_last = number == len(stages)
        match stage:
            case DenseSpec(of_tokens=True) | NormalizeSpec() | TokenMaskSpec():
                continue
            case TokenPoolingSpec() if is_last:
                continue
        raise UnsupportedModelError(
            f"{layout.where}: a model with a vector for each token cannot have {type(stage).__name__} as its stage "
            f"{number}. Supported: Dense and Normalize of token_embeddings, MultiVectorMask, and at the end "
            f"HierarchicalTokenPooling."
        )
    return stages


def read_late_interaction(
    layout: Layout, stages: tuple[Stage, ...], own: Config, tokenizer: Config
) -> LateInteractionSpec:
    """Read what a model does with queries and documents.

    Args:
        layout: what :func:`find_layout` found.
        stages: what :func:`stages_of` gave.
        own: the transformer's own config, such as ``sentence_bert_config.json``, which has precedence.
        tokenizer: ``tokenizer_config.json``.

    Raises:
        InvalidModelError: a value is broken, or contradicts another.
        UnsupportedModelError: texts are filled up at their start.
    """
    config = Config(own.where if set(own.values) & set(_OWN_KEYS) else layout.where, {**layout.values, **own.values})
    query_length, document_length = (
        None if config.values.get(key) is None else config.size(key) for key in ("query_length", "document_length")
    )
    if config.values.get("query_expansion") is None:
        return LateInteractionSpec(stages, query_length, document_length)
    expansion = _read_expansion(config.section("query_expansion"))
    if query_length is not None and query_length < expansion.length:
        raise InvalidModelError(
            f"{config.where}: query_length {query_length} is less than the length {expansion.length} of "
            f"query_expansion."
        )
    if tokenizer.string("padding_side", "right") != "right":
        raise UnsupportedModelError(f"{tokenizer.where}: query_expansion with padding_side 'left' is not supported.")
    return LateInteractionSpec(stages, query_length, document_length, expansion)


def _read_expansion(config: Config) -> ExpansionSpec:
    strategy = config.string("strategy")
    if strategy not in ("fixed", "min"):
        raise UnsupportedModelError(
            f"{config.where}: the strategy {strategy!r:.80} is not supported, only fixed or min."
        )
    return ExpansionSpec(
        length=config.size("length"),
        token=config.string("token", "") or None,
        attend=config.flag("attend", False),
        fixed=strategy == "fixed",
    )


def _read_settings(settings: Config, *, is_pylate: bool, is_complete: bool) -> Layout:
    """Read what PyLate saves, as sentence-transformers translates it."""
    values = {key: settings.values[key] for key in ("query_length", "document_length") if settings.values.get(key)}
    if "query_expansion" in settings.values:
        values["query_expansion"] = settings.values["query_expansion"]
    elif is_pylate and settings.values.get("do_query_expansion") is not False:
        key = (
            "attend_to_expansion_tokens" if "attend_to_expansion_tokens" in settings.values else "attend_to_mask_tokens"
        )
        length = values.pop("query_length", _USUAL_QUERY_LENGTH)
        values["query_expansion"] = {"strategy": "fixed", "attend": settings.flag(key, False), "length": length}
    prefixes = {name: settings.string(key, "") for name, key in _PREFIXES if key in settings.values}
    saved = settings.strings("prompts")
    skipped = read_words(settings, "skiplist_words")
    if skipped is None:
        # Without a prefix and a kind, it is a model of vectors for texts, whose tokens all count.
        is_usual = settings.string("model_type", "") == "ColBERT" or bool(prefixes)
        skipped = list(string.punctuation) if is_usual else []
    return Layout(
        values=values,
        where=settings.where,
        prompts={name: prefix + saved.get(name, "").removeprefix(prefix) for name, prefix in prefixes.items()},
        markers=tuple(filter(None, prefixes.values())),
        skipped=tuple(skipped),
        is_complete=is_complete,
    )


def _read_metadata(config: Config) -> Layout:
    """Read what Stanford's ColBERT saves, as sentence-transformers translates it."""
    prompts = {
        "query": (config.string("query_token_id", "") or "[unused0]") + " ",
        "document": (config.string("doc_token_id", "") or "[unused1]") + " ",
    }
    length = config.integer("query_maxlen", 0) or _USUAL_QUERY_LENGTH
    expansion = {"strategy": "fixed", "attend": config.flag("attend_to_mask_tokens", False), "length": length}
    return Layout(
        values={"query_expansion": expansion, "document_length": config.values.get("doc_maxlen")},
        where=config.where,
        prompts=prompts,
        markers=tuple(prompts.values()),
        skipped=tuple(string.punctuation) if config.flag("mask_punctuation", True) else (),
        is_complete=False,
        width=config.size("dim", _USUAL_WIDTH),
    )
