"""The head of a model that scores or classifies: read as a spec, and loaded with its weights.

transformers saves such a model as ``…ForSequenceClassification``, and sentence-transformers loads it as a
``CrossEncoder``. Both say in config.json what the labels are; sentence-transformers adds what turns logits into scores.

Some rerankers are decoders that were trained to answer "yes" or "no". Their head is the part of the output layer that
belongs to these two tokens, which sentence-transformers calls ``LogitScore``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.layers import dense, norms
from pellucid.layers.activations import BY_TORCH_CLASS
from pellucid.layers.finish import Module
from pellucid.layers.pooling import Pooling
from pellucid.model.config import Config, architectures
from pellucid.model.families import Family, bert, get_family
from pellucid.model.families.names import HeadNames
from pellucid.model.spec import EncoderSpec, HeadSpec, NormSpec
from pellucid.model.tensors import Tensors
from pellucid.model.weights import read_linear, read_norm, read_output_rows

TokenIds = Callable[[str], int | None]
"""The id of the token with a spelling; None if the vocabulary has none."""
YES_AND_NO = ("yes", "no")
"""The answers of a decoder whose files name none, as in sentence-transformers."""
_MAX_LABELS = 100_000
_CLASS_ENDING = "ForSequenceClassification"
_ACTIVATIONS = BY_TORCH_CLASS | {f"torch.nn.{name.rpartition('.')[2]}": ours for name, ours in BY_TORCH_CLASS.items()}
"""By the class's full name, and by the name that people import."""


def read_head(config: Config, settings: Config) -> HeadSpec | None:
    """Read the head that config.json describes; None for a model without one.

    Args:
        config: the encoder's config.json.
        settings: the model's ``config_sentence_transformers.json``.

    Raises:
        InvalidModelError: a value in the configs is broken.
        UnsupportedModelError: the head has a setting that Pellucid does not support.
    """
    if not any(name.endswith(_CLASS_ENDING) for name in architectures(config)[:1]):
        return None
    names = get_family(config).head
    if names is None:
        raise UnsupportedModelError(
            f"{config.where}: classification heads of {config.string('model_type')} are not supported."
        )
    labels = _read_labels(config)
    activation = _read_activation(config, settings, "sigmoid" if len(labels) == 1 else "identity")
    multi_label = config.string("problem_type", "") == "multi_label_classification"
    if names.dense is None:
        # It reads the last token that is not padding. What follows that token only counts if tokens look ahead.
        is_causal = config.flag("is_causal", True)
        return HeadSpec(
            labels=labels,
            pooling=_read_pooling(config, names),
            hidden_activation=None,
            activation=activation,
            multi_label=multi_label,
            padding_id=_read_padding_id(config) if is_causal else None,
        )
    is_biased = names.bias_key is None or config.flag(names.bias_key, False)
    norm = NormSpec(config.number("norm_eps", 1e-5, minimum=0, maximum=1), bias=config.flag("norm_bias", False))
    return HeadSpec(
        labels=labels,
        pooling=_read_pooling(config, names),
        hidden_activation=bert.activation(config, names.activation_key) if names.activation_key else names.activation,
        activation=activation,
        bias=is_biased,
        norm=norm if names.norm else None,
        multi_label=multi_label,
    )


def read_answers(config: Config) -> tuple[int, ...]:
    """The ids of the tokens that ``LogitScore`` of sentence-transformers compares: one or two.

    Raises:
        InvalidModelError: a value in the config is broken.
        UnsupportedModelError: it reads something else than the scores of the next token.
    """
    if (name := config.string("module_input_name", "causal_logits")) != "causal_logits":
        raise UnsupportedModelError(
            f"{config.where}: module_input_name {name!r:.80} is not supported, only 'causal_logits'."
        )
    second = config.integer("false_token_id", -1, minimum=-1)
    return (config.integer("true_token_id", minimum=0), *(() if second < 0 else (second,)))


def read_answer_head(config: Config, settings: Config, answers: tuple[int, ...] | tuple[str, ...]) -> HeadSpec:
    """The head of a decoder that scores by its answer. The configs are those of :func:`read_head`.

    Raises:
        InvalidModelError: a value in the configs is broken.
        UnsupportedModelError: Pellucid does not know the output layer of this family.
    """
    if get_family(config).output is None:
        raise UnsupportedModelError(
            f"{config.where}: the next token that {config.string('model_type')} predicts cannot be used as a score."
        )
    if config.values.get("final_logit_softcapping") is not None:
        raise UnsupportedModelError(f"{config.where}: final_logit_softcapping is not supported.")
    return HeadSpec(
        labels=("LABEL_0",),
        pooling=Pooling(("lasttoken",)),
        hidden_activation=None,
        activation=_read_activation(config, settings, "sigmoid"),
        answers=answers,
    )


def read_answer_modules(
    tensors: Tensors, spec: HeadSpec, encoder: EncoderSpec, family: Family, config: Config, token_id: TokenIds
) -> tuple[Module, ...]:
    """Load the head of a decoder that scores by its answer, as :func:`read_head_modules` does.

    Only the rows of one or two tokens are read from the output layer.

    Raises:
        InvalidModelError, UnsupportedModelError: as :meth:`pellucid.model.tensors.Tensors.read`; or the vocabulary does
            not have the answers.
    """
    output = family.output
    if output is None:
        raise AssertionError("read_answer_head has checked it")
    ids = [answer if isinstance(answer, int) else token_id(answer) for answer in spec.answers]
    for answer, number in zip(spec.answers, ids, strict=True):
        if number is None:
            raise UnsupportedModelError(
                f"{tensors.name}: the vocabulary has no token {answer!r:.80}, so the answers of this decoder are not "
                f"known. Get a version of the model with a modules.json that lists LogitScore."
            )
        if number >= encoder.vocab_size:
            raise InvalidModelError(
                f"{tensors.name}: LogitScore names the token {number}, but the vocabulary has {encoder.vocab_size}."
            )
    rows = read_output_rows(
        tensors,
        encoder,
        family.names,
        output,
        [number for number in ids if number is not None],
        is_tied=config.flag("tie_word_embeddings", output.tied),
    )
    scores = dense.Dense(rows, None, "identity")
    if len(rows) == 1:
        return (scores,)
    return scores, dense.Dense(np.array([[1, -1]], dtype=np.float32), None, "identity")


def read_head_modules(tensors: Tensors, spec: HeadSpec, names: HeadNames, hidden_size: int) -> tuple[Module, ...]:
    """Load a head as the modules that follow its pooling. The last gives ``float32[B, labels]``, the logits.

    The errors are those of :meth:`pellucid.model.tensors.Tensors.read`.
    """
    if names.dense is None or spec.hidden_activation is None:
        weight = tensors.read(f"{names.output}.weight", (len(spec.labels), hidden_size))
        return (dense.Dense(weight, None, "identity"),)
    first = read_linear(tensors, names.dense, hidden_size, hidden_size, bias=spec.bias)
    last = read_linear(tensors, names.output, len(spec.labels), hidden_size)
    modules: list[Module] = [dense.Dense(first.weight, first.bias, spec.hidden_activation)]
    if spec.norm is not None and names.norm is not None:
        norm = read_norm(tensors, names.norm, hidden_size, spec.norm)
        modules.append(norms.LayerNorm(norm.weight, norm.bias, spec.norm.eps))
    return (*modules, dense.Dense(last.weight, last.bias, "identity"))


def _read_padding_id(config: Config) -> int | None:
    number = config.integer("pad_token_id", -1)
    return None if number < 0 else number


def _read_labels(config: Config) -> tuple[str, ...]:
    """The names of the labels, in the order of the logits. If the config has none, there are two."""
    by_number = config.values.get("id2label")
    count = config.size("num_labels", len(by_number) if isinstance(by_number, dict) and by_number else 2)
    if count > _MAX_LABELS:
        raise InvalidModelError(f"{config.where}: there are {count:,} labels, and the limit is {_MAX_LABELS:,}.")
    if not isinstance(by_number, dict) or len(by_number) != count:
        return tuple(f"LABEL_{number}" for number in range(count))
    labels = [by_number.get(str(number)) for number in range(count)]
    for number, label in enumerate(labels):
        # Some models name their labels by numbers, such as stars.
        if not isinstance(label, str | int) or isinstance(label, bool):
            raise InvalidModelError(f"{config.where}: id2label has no text for the label {number}.")
    return tuple(map(str, labels))


def _read_pooling(config: Config, names: HeadNames) -> Pooling:
    mode = config.string(names.pooling_key, "cls") if names.pooling_key else names.pooling
    if names.pooling_key and mode not in ("cls", "mean"):
        raise UnsupportedModelError(
            f"{config.where}: {names.pooling_key} {mode!r:.80} is not supported. Supported: cls, mean."
        )
    return Pooling((mode,))


def _read_activation(config: Config, settings: Config, default: str) -> str:
    """What turns logits into scores, by Pellucid's own name, or else by the config's.

    sentence-transformers has had three places for it.
    """
    name = (
        settings.string("activation_fn", "")
        or config.section("sentence_transformers").string("activation_fn", "")
        or config.string("sbert_ce_default_activation_function", "")
    )
    return _ACTIVATIONS.get(name, name) or default
