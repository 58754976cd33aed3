"""The head of a model that scores or classifies: read as a spec, and loaded with its weights.

transformers saves such a model as ``…ForSequenceClassification``, and sentence-transformers loads it as a
``CrossEncoder``. Both say in config.json what the labels are; sentence-transformers adds what turns logits into scores.
"""

from __future__ import annotations

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.layers import dense, norms
from pellucid.layers.activations import BY_TORCH_CLASS
from pellucid.layers.finish import Module
from pellucid.layers.pooling import Pooling
from pellucid.model.config import Config, architectures
from pellucid.model.families import bert, get_family
from pellucid.model.families.names import HeadNames
from pellucid.model.spec import HeadSpec, NormSpec
from pellucid.model.tensors import Tensors
from pellucid.model.weights import read_linear, read_norm

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
    is_biased = names.bias_key is None or config.flag(names.bias_key, False)
    norm = NormSpec(config.number("norm_eps", 1e-5, minimum=0, maximum=1), bias=config.flag("norm_bias", False))
    return HeadSpec(
        labels=labels,
        pooling=_read_pooling(config, names),
        hidden_activation=bert.activation(config, names.activation_key) if names.activation_key else names.activation,
        activation=_read_activation(config, settings, "sigmoid" if len(labels) == 1 else "identity"),
        bias=is_biased,
        norm=norm if names.norm else None,
        multi_label=config.string("problem_type", "") == "multi_label_classification",
    )


def read_head_modules(tensors: Tensors, spec: HeadSpec, names: HeadNames, hidden_size: int) -> tuple[Module, ...]:
    """Load a head as the modules that follow its pooling. The last gives ``float32[B, labels]``, the logits.

    The errors are those of :meth:`pellucid.model.tensors.Tensors.read`.
    """
    first = read_linear(tensors, names.dense, hidden_size, hidden_size, bias=spec.bias)
    last = read_linear(tensors, names.output, len(spec.labels), hidden_size)
    modules: list[Module] = [dense.Dense(first.weight, first.bias, spec.hidden_activation)]
    if spec.norm is not None and names.norm is not None:
        norm = read_norm(tensors, names.norm, hidden_size, spec.norm)
        modules.append(norms.LayerNorm(norm.weight, norm.bias, spec.norm.eps))
    return (*modules, dense.Dense(last.weight, last.bias, "identity"))


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
    mode = config.string(names.pooling_key, "cls") if names.pooling_key else "cls"
    if mode not in ("cls", "mean"):
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
