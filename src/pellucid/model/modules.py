"""What follows the transformer in ``modules.json``: read as values, and their weights as modules that can be called.

Each stage's own config lies in the folder that the list gives. No code of the model is ever run: a class that we do not
know is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.layers import dense, norms
from pellucid.layers.finish import Module
from pellucid.layers.pooling import MODES, Pooling
from pellucid.model.config import Config, read_json
from pellucid.model.spec import DenseSpec, LayerNormSpec, ModelSpec, NormalizeSpec, Stage
from pellucid.model.tensors import Tensors
from pellucid.model.weights import read_norm
from pellucid.sources.files import MOST_MODULES, ModelFiles, tidy

# pooling_mode_* flags of 1_Pooling/config.json, in the order in which their results are laid side by side.
_POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_DENSE_ACTIVATIONS = {
    "torch.nn.modules.activation.GELU": "gelu",
    "torch.nn.modules.activation.ReLU": "relu",
    "torch.nn.modules.activation.SiLU": "silu",
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
    "torch.nn.modules.activation.Tanh": "tanh",
    "torch.nn.modules.linear.Identity": "identity",
}
# Each name that sentence-transformers has used, up to version 6, for a class of its own.
_PACKAGES = ("sentence_transformers.models", "sentence_transformers.base", "sentence_transformers.sentence_transformer")


@dataclass(frozen=True)
class Listed:
    """One entry of modules.json."""

    kind: str
    folder: str

    def file(self, name: str) -> str:
        """The path of one of its files, relative to the model's folder."""
        return f"{self.folder}/{name}" if self.folder else name


def listed(files: ModelFiles) -> list[Listed]:
    """The stages of ``modules.json``; a model without it is a plain transformer, which is pooled by its mean."""
    if not files.has("modules.json"):
        return [Listed("Transformer", ""), Listed("Pooling", "")]
    where = f"{files.name}: modules.json"
    entries = read_json(files, "modules.json")
    if not isinstance(entries, list) or not entries:
        raise InvalidModelError(f"{where} must hold a list of modules.")
    if len(entries) > MOST_MODULES:
        raise InvalidModelError(f"{where} lists {len(entries):,} modules, and at most {MOST_MODULES} are read.")
    modules = []
    for entry in entries:
        config = Config(where, entry)
        kind, folder = _kind(where, config.string("type")), config.string("path", "")
        files.path(folder)  # Refuses a path that leaves the model's folder.
        if kind == "Pooling" and not folder.strip("/"):
            raise InvalidModelError(
                f"{where}: Pooling has no path, and without its config it is not known how to pool."
            )
        modules.append(Listed(kind, tidy(folder)))
    kinds = [module.kind for module in modules]
    if kinds[0] != "Transformer" or "Transformer" in kinds[1:]:
        raise UnsupportedModelError(f"{where}: {' → '.join(kinds)} does not begin with its one Transformer.")
    return modules


def read_stages(files: ModelFiles, modules: list[Listed], encoder: Config, hidden: int) -> tuple[Stage, ...]:
    """The stages after the transformer.

    Args:
        files: the model's.
        modules: those of :func:`listed` after the transformer.
        encoder: the encoder's config.json.
        hidden: how many numbers a token's vector has.

    Raises:
        InvalidModelError: a config is missing, broken, or contradicts another.
        UnsupportedModelError: a setting that we do not run.
    """
    stages: list[Stage] = []
    size = hidden
    for module in modules:
        stage = _pooling(files, module, encoder, hidden) if module.kind == "Pooling" else _module(files, module, size)
        if stage is None:
            continue
        stages.append(stage)
        if isinstance(stage, Pooling):
            size = hidden * len(stage.modes)
        elif isinstance(stage, DenseSpec):
            size = stage.out
    return tuple(stages)


def load_modules(files: ModelFiles, spec: ModelSpec) -> tuple[Module, ...]:
    """The modules after pooling, with their weights; the errors of :meth:`pellucid.model.tensors.Tensors.read`."""
    return tuple(_loaded(files, module) for module in spec.modules)


def _loaded(files: ModelFiles, module: DenseSpec | LayerNormSpec | NormalizeSpec) -> Module:
    if isinstance(module, NormalizeSpec):
        return norms.Normalize()
    tensors = Tensors.open(files, module.folder)
    if isinstance(module, LayerNormSpec):
        norm = read_norm(tensors, "norm", module.size)
        return norms.LayerNorm(norm.weight, norm.bias)
    shape = module.out, module.into
    return dense.Dense(
        weight=tensors.read("linear.weight", shape),
        bias=tensors.read("linear.bias", (module.out,)) if module.bias else None,
        activation=module.activation,
        use_residual=module.use_residual,
        residual=tensors.read("residual.weight", shape) if module.use_residual and module.into != module.out else None,
    )


def _kind(where: str, class_name: str) -> str:
    package, _, kind = class_name.rpartition(".")
    known = ("Transformer", "Pooling", "Dense", "LayerNorm", "Normalize", "Dropout")
    if kind in known and (package in _PACKAGES or any(package.startswith(f"{p}.") for p in _PACKAGES)):
        return kind
    raise UnsupportedModelError(
        f"{where}: the module class {class_name!r:.200} is not supported, and code of a model is never run. "
        f"Supported: {', '.join(known)} of sentence-transformers."
    )


def _pooling(files: ModelFiles, module: Listed, encoder: Config, hidden: int) -> Pooling:
    """How the model pools. ``encoder`` is the encoder's config.json: a model without
    modules.json that was made to tell the next token is pooled by its last, as sentence-transformers does.
    """
    if not module.folder:
        architectures = encoder.values.get("architectures")
        causal = isinstance(architectures, list) and architectures and str(architectures[0]).endswith("ForCausalLM")
        return Pooling(("lasttoken" if causal and encoder.flag("is_causal", True) else "mean",))
    config = Config.read(files, module.file("config.json"))
    named = config.values.get("pooling_mode")
    if named is None:
        modes = tuple(mode for flag, mode in _POOLING_FLAGS.items() if config.flag(flag, False)) or ("mean",)
    else:
        modes = tuple(named) if isinstance(named, list) else (named,)
    if not modes:
        raise InvalidModelError(f"{config.where}: 'pooling_mode' names no mode. We have {list(MODES)}.")
    if unknown := [mode for mode in modes if not isinstance(mode, str) or mode not in MODES]:
        raise UnsupportedModelError(
            f"{config.where}: pooling {unknown[0]!r:.80} is not supported. We have {list(MODES)}."
        )
    size = config.size("embedding_dimension", config.size("word_embedding_dimension", hidden))
    if size != hidden:
        raise InvalidModelError(f"{config.where}: pools vectors of {size} numbers, and the encoder gives {hidden}.")
    return Pooling(modes, config.flag("include_prompt", True))


def _module(files: ModelFiles, module: Listed, size: int) -> DenseSpec | LayerNormSpec | NormalizeSpec | None:
    """A module after pooling, for vectors of ``size`` numbers; None if it does nothing outside training."""
    config = Config.read_if_there(files, module.file("config.json"))
    for key in ("module_input_name", "module_output_name"):
        if (name := config.string(key, "sentence_embedding")) != "sentence_embedding":
            raise UnsupportedModelError(
                f"{config.where}: {key} {name!r:.80} is not supported, only 'sentence_embedding'."
            )
    if module.kind == "Normalize":
        return NormalizeSpec()
    if module.kind == "Dropout":
        return None
    if module.kind == "LayerNorm":
        return LayerNormSpec(module.folder, size)
    into, out = config.size("in_features"), config.size("out_features")
    if into != size:
        raise InvalidModelError(f"{config.where}: takes {into} features, and the stage before it gives {size}.")
    use_residual = config.flag("use_residual", False)
    activation = config.string("activation_function", "torch.nn.modules.activation.Tanh")
    if activation not in _DENSE_ACTIVATIONS:
        raise UnsupportedModelError(
            f"{config.where}: activation_function {activation!r:.80} is not supported, and code of a model is never "
            f"run. Supported: {', '.join(_DENSE_ACTIVATIONS)}."
        )
    bias = config.flag("bias", True)
    return DenseSpec(module.folder, into, out, _DENSE_ACTIVATIONS[activation], bias, use_residual)
