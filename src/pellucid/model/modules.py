"""The stages after the transformer in ``modules.json``: read as specs, and loaded with their weights.

The list gives a folder for each stage, which holds the stage's own config. Pellucid never runs code from a model. A
class that it does not know is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.layers import dense, norms
from pellucid.layers.activations import BY_TORCH_CLASS
from pellucid.layers.finish import Module
from pellucid.layers.pooling import MODES, Pooling
from pellucid.layers.vocabulary import AutoEncoder
from pellucid.model.config import Config, architectures, read_json
from pellucid.model.spec import (
    AutoEncoderSpec,
    DenseSpec,
    LayerNormSpec,
    ModuleSpec,
    NormalizeSpec,
    NormSpec,
    SpladeSpec,
    Stage,
    TokenMaskSpec,
    TokenPoolingSpec,
)
from pellucid.model.tensors import Tensors
from pellucid.model.weights import read_norm
from pellucid.sources.files import MAX_MODULES, ROUTER_FILES, ROUTERS, ModelFiles, normalize_folder

# The pooling_mode_* flags of 1_Pooling/config.json, in the order in which their results are concatenated.
_POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_SPLADE_MODES: dict[str, Literal["max", "sum"]] = {"max": "max", "sum": "sum"}
_LOGS: dict[str, Literal[1, 2]] = {"relu": 1, "log1p_relu": 2}
"""How many times SpladePooling takes ``log(1 + x)``, by its ``activation_function``."""
_MODULE_KINDS = (
    *("Transformer", "MLMTransformer", "StaticEmbedding", "SparseStaticEmbedding", *ROUTERS),
    *("Pooling", "SpladePooling", "SparseAutoEncoder", "MultiVectorMask", "HierarchicalTokenPooling"),
    *("Dense", "LayerNorm", "Normalize", "Dropout", "LogitScore"),
)
_FIRST_KINDS = ("Transformer", "MLMTransformer", "StaticEmbedding", "SparseStaticEmbedding")
_SENTENCE, _TOKENS = "sentence_embedding", "token_embeddings"
# The packages that have held sentence-transformers' own module classes, up to version 6.
_PACKAGES = (
    *("sentence_transformers.models", "sentence_transformers.base", "sentence_transformers.sentence_transformer"),
    *("sentence_transformers.sparse_encoder", "sentence_transformers.multi_vector_encoder"),
    "sentence_transformers.cross_encoder",
)
_CLASSES_OF_OTHERS = {"pylate.models.Dense.Dense": "Dense"}
"""Classes of other libraries that are the same as one of sentence-transformers."""


@dataclass(frozen=True)
class ModuleEntry:
    """One entry of modules.json.

    Attributes:
        kind: the name of the module's class, such as "Pooling".
        folder: the module's folder, relative to the model's; "" for the model's own folder.
    """

    kind: str
    folder: str

    def file(self, name: str) -> str:
        """The path of one of the module's files, relative to the model's folder."""
        return f"{self.folder}/{name}" if self.folder else name


Route = Literal["document", "query"]
"""The way that texts take through a model with a Router."""


def read_entries(files: ModelFiles, route: Route = "document") -> list[ModuleEntry]:
    """Read the list of modules in ``modules.json``.

    A model without that file is a static model if model2vec saved it, and otherwise a transformer with mean pooling.

    If the first module is a Router, the modules of one of its routes take its place.

    Args:
        files: the files of the model.
        route: the route to take.

    Raises:
        InvalidModelError: the list is broken, or a path leaves the model's folder.
        UnsupportedModelError: a module is of an unknown class, or the list does not start with its only Transformer or
            StaticEmbedding.
    """
    if not files.has("modules.json"):
        return model2vec_entries(files) or [ModuleEntry("Transformer", ""), ModuleEntry("Pooling", "")]
    where = f"{files.name}: modules.json"
    values = read_json(files, "modules.json")
    if not isinstance(values, list) or not values:
        raise InvalidModelError(f"{where} must hold a list of modules.")
    if len(values) > MAX_MODULES:
        raise InvalidModelError(f"{where} lists {len(values):,} modules, and the limit is {MAX_MODULES}.")
    entries = []
    for value in values:
        config = Config(where, value)
        kind, folder = _module_kind(where, config.string("type")), config.string("path", "")
        files.path(folder)  # Raises an error if the path leaves the model's folder.
        if kind == "Pooling" and not folder.strip("/"):
            raise InvalidModelError(f"{where}: Pooling has no path, so there is no config that says how to pool.")
        entries.append(ModuleEntry(kind, normalize_folder(folder)))
    if entries[0].kind in ROUTERS:
        entries[:1] = _read_route(files, entries[0], route)
    kinds = [entry.kind for entry in entries]
    if kinds[0] not in _FIRST_KINDS or any(kind in _FIRST_KINDS for kind in kinds[1:]):
        raise UnsupportedModelError(
            f"{where} lists {' → '.join(kinds)}. A model must have exactly one Transformer or StaticEmbedding, in "
            f"first place."
        )
    if kinds[0] == "StaticEmbedding" and "Pooling" in kinds:
        raise UnsupportedModelError(
            f"{where} lists {' → '.join(kinds)}. StaticEmbedding pools by itself, so no Pooling can follow it."
        )
    return entries


def _read_route(files: ModelFiles, router: ModuleEntry, route: Route) -> list[ModuleEntry]:
    """The modules of one route of a Router."""
    name = next((name for name in map(router.file, ROUTER_FILES) if files.has(name)), router.file(ROUTER_FILES[0]))
    config = Config.read(files, name)
    types, parameters = config.strings("types"), config.section("parameters")
    structure, mappings = config.section("structure").values, parameters.section("route_mappings").values
    # sentence-transformers looks in this order. It writes a pair of a task and a kind of input as Python does.
    pairs = ((route, "text"), (route, None), (None, "text"), (None, None))
    names = [*(mappings.get(str(pair)) for pair in pairs), route, "text"]
    default = parameters.string("default_route", "") or (
        next(iter(structure), "") if parameters.flag("allow_empty_key", True) else ""
    )
    chosen = next((name for name in (*names, default) if isinstance(name, str) and name in structure), None)
    if chosen is None:
        raise UnsupportedModelError(f"{config.where}: the Router has no route for a {route}, and no default route.")
    keys = structure[chosen]
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) and key in types for key in keys):
        raise InvalidModelError(f"{config.where}: the route {chosen!r:.80} must be a list of modules in 'types'.")
    entries = []
    for key in keys:
        folder = normalize_folder(router.file(key))
        files.path(folder)  # Raises an error if the path leaves the model's folder.
        entries.append(ModuleEntry(_module_kind(config.where, types[key]), folder))
    return entries


def model2vec_entries(files: ModelFiles) -> list[ModuleEntry]:
    """The modules of a model that model2vec saved; empty if another library saved it."""
    config = Config.read_if_present(files, "config.json")
    if config.values.get("model_type") != "model2vec":
        return []
    normalize = [ModuleEntry("Normalize", "")] if config.flag("normalize", False) else []
    return [ModuleEntry("StaticEmbedding", ""), *normalize]


def read_stages(
    files: ModelFiles, entries: list[ModuleEntry], encoder_config: Config, hidden_size: int, *, of_tokens: bool = False
) -> tuple[Stage, ...]:
    """Read the stages after the transformer.

    Args:
        files: the files of the model.
        entries: the entries of :func:`read_entries` after the first.
        encoder_config: the encoder's config.json.
        hidden_size: the length of a token's vector.
        of_tokens: True for a model with a vector for each token: then modules may work on these vectors, and a linear
            layer does, unless its config says otherwise.

    Raises:
        InvalidModelError: a config is missing or broken, or contradicts another.
        UnsupportedModelError: a stage has a setting that Pellucid does not support.
    """
    stages: list[Stage] = []
    size = hidden_size
    for entry in entries:
        if entry.kind == "Pooling":
            pooling = _read_pooling(files, entry, encoder_config, hidden_size)
            stages.append(pooling)
            size = hidden_size * len(pooling.modes)
        elif entry.kind == "SpladePooling":
            stages.append(_read_splade(Config.read_if_present(files, entry.file("config.json"))))
        elif entry.kind == "SparseAutoEncoder":
            autoencoder = _read_autoencoder(files, entry, size)
            stages.append(autoencoder)
            size = autoencoder.out_features
        elif entry.kind == "MultiVectorMask":
            stages.append(_read_mask(Config.read_if_present(files, entry.file("config.json"))))
        elif entry.kind == "HierarchicalTokenPooling":
            stages.append(_read_token_pooling(Config.read_if_present(files, entry.file("config.json"))))
        elif (module := _read_module(files, entry, size, of_tokens=of_tokens)) is not None:
            stages.append(module)
            if isinstance(module, DenseSpec):
                size = module.out_features
    return tuple(stages)


def load_modules(files: ModelFiles, stages: tuple[Stage, ...]) -> tuple[Module, ...]:
    """Load those of the stages that turn vectors into vectors, with their weights.

    The errors are those of :meth:`pellucid.model.tensors.Tensors.read`.
    """
    return tuple(_load_module(files, stage) for stage in stages if isinstance(stage, ModuleSpec))


def _load_module(files: ModelFiles, spec: ModuleSpec) -> Module:
    if isinstance(spec, NormalizeSpec):
        return norms.Normalize()
    if isinstance(spec, LayerNormSpec):
        norm = read_norm(Tensors.open(files, spec.folder), "norm", spec.size, NormSpec(1e-5))
        return norms.LayerNorm(norm.weight, norm.bias)
    return load_dense(files, spec)


def load_dense(files: ModelFiles, spec: DenseSpec) -> dense.Dense:
    """Load a linear layer. The errors are those of :meth:`pellucid.model.tensors.Tensors.read`."""
    tensors = Tensors.open_file(files, spec.file) if spec.file else Tensors.open(files, spec.folder)
    name = "" if spec.file else "linear."
    shape = spec.out_features, spec.in_features
    has_residual_weight = spec.use_residual and spec.in_features != spec.out_features
    return dense.Dense(
        weight=tensors.read(f"{name}weight", shape),
        bias=tensors.read(f"{name}bias", (spec.out_features,)) if spec.bias else None,
        activation=spec.activation,
        use_residual=spec.use_residual,
        residual=tensors.read("residual.weight", shape) if has_residual_weight else None,
    )


def _module_kind(where: str, class_name: str) -> str:
    """The kind of a module, from the full name of its class."""
    if class_name in _CLASSES_OF_OTHERS:
        return _CLASSES_OF_OTHERS[class_name]
    package, _, kind = class_name.rpartition(".")
    is_official = package in _PACKAGES or any(package.startswith(f"{name}.") for name in _PACKAGES)
    if kind in _MODULE_KINDS and is_official:
        return kind
    raise UnsupportedModelError(
        f"{where}: the module class {class_name!r:.200} is not supported, and Pellucid never runs code from a "
        f"model. Supported: {', '.join(_MODULE_KINDS)} of sentence-transformers."
    )


def _read_pooling(files: ModelFiles, entry: ModuleEntry, encoder_config: Config, hidden_size: int) -> Pooling:
    """Read how the model pools.

    A model without ``modules.json`` has no pooling config. It is pooled by its mean; or by its last token if it was
    trained to predict the next one, which the encoder's config.json says. sentence-transformers does the same.
    """
    if not entry.folder:
        is_causal_lm = any(name.endswith("ForCausalLM") for name in architectures(encoder_config)[:1])
        return Pooling(("lasttoken" if is_causal_lm and encoder_config.flag("is_causal", True) else "mean",))
    config = Config.read(files, entry.file("config.json"))
    value = config.values.get("pooling_mode")
    if value is None:
        modes = tuple(mode for flag, mode in _POOLING_FLAGS.items() if config.flag(flag, False)) or ("mean",)
    else:
        modes = tuple(value) if isinstance(value, list) else (value,)
    if not modes:
        raise InvalidModelError(f"{config.where}: 'pooling_mode' is an empty list. Supported: {', '.join(MODES)}.")
    if unknown := [mode for mode in modes if not isinstance(mode, str) or mode not in MODES]:
        raise UnsupportedModelError(
            f"{config.where}: pooling {unknown[0]!r:.80} is not supported. Supported: {', '.join(MODES)}."
        )
    size = config.size("embedding_dimension", config.size("word_embedding_dimension", hidden_size))
    if size != hidden_size:
        raise InvalidModelError(
            f"{config.where}: pooling expects token vectors of length {size}, but the encoder gives {hidden_size}."
        )
    return Pooling(modes, config.flag("include_prompt", True))


def _read_splade(config: Config) -> SpladeSpec:
    mode, activation = config.string("pooling_strategy", "max"), config.string("activation_function", "relu")
    if mode not in _SPLADE_MODES or activation not in _LOGS:
        raise UnsupportedModelError(
            f"{config.where}: pooling_strategy {mode!r:.80} with activation_function {activation!r:.80} is not "
            f"supported. Supported: max or sum, with relu or log1p_relu."
        )
    return SpladeSpec(_SPLADE_MODES[mode], _LOGS[activation])


def _read_autoencoder(files: ModelFiles, entry: ModuleEntry, size: int) -> AutoEncoderSpec:
    config = Config.read(files, entry.file("config.json"))
    in_features, out_features = config.size("input_dim"), config.size("hidden_dim", 512)
    if in_features != size:
        raise InvalidModelError(
            f"{config.where}: input_dim is {in_features}, but the module before it gives vectors of length {size}."
        )
    kept = config.size("k", 8)
    if kept > out_features:
        raise InvalidModelError(f"{config.where}: k is {kept}, but a vector has only {out_features} numbers.")
    return AutoEncoderSpec(entry.folder, in_features, out_features, kept, config.flag("normalize", False))


def load_autoencoder(files: ModelFiles, spec: AutoEncoderSpec) -> AutoEncoder:
    """Load a sparse autoencoder. The errors are those of :meth:`pellucid.model.tensors.Tensors.read`."""
    tensors = Tensors.open(files, spec.folder)
    # The decoder has the same weight. safetensors keeps one of equal tensors.
    name = next((name for name in ("encoder.weight", "decoder.linear.weight") if name in tensors), "encoder.weight")
    return AutoEncoder(
        before=tensors.read("pre_bias", (spec.in_features,)),
        weight=tensors.read(name, (spec.out_features, spec.in_features)),
        bias=tensors.read("latent_bias", (spec.out_features,)),
        kept=spec.kept,
        normalize=spec.normalize,
    )


def _read_mask(config: Config) -> TokenMaskSpec:
    only = config.values.get("keep_only_token_ids")
    if only is not None and not (isinstance(only, list) and all(type(number) is int for number in only)):
        raise InvalidModelError(f"{config.where}: keep_only_token_ids must be a list of token ids, or null.")
    sides = config.values.get("skiplist_tasks")
    return TokenMaskSpec(
        skipped=tuple(read_words(config, "skiplist_words") or ()),
        sides=(sides,) if isinstance(sides, str) else tuple(read_words(config, "skiplist_tasks") or ("document",)),
        only=None if not only else tuple(only),
    )


def _read_token_pooling(config: Config) -> TokenPoolingSpec:
    tasks = config.values.get("tasks")
    return TokenPoolingSpec(
        factor=config.number("pool_factor", 1.0, minimum=1),
        protected=config.integer("num_protected_tokens", 1, minimum=0),
        normalize=config.flag("normalize_embeddings", False),  # Older files do not have it, and mean False.
        sides=(tasks,) if isinstance(tasks, str) else tuple(read_words(config, "tasks") or ("document",)),
    )


def read_words(config: Config, key: str) -> list[str] | None:
    """A list of words in a config; None if it is missing or null.

    Raises:
        InvalidModelError: it is something else.
    """
    words = config.values.get(key)
    if words is not None and not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        raise InvalidModelError(f"{config.where}: {key} must be a list of words, or null.")
    return words


def _read_module(
    files: ModelFiles, entry: ModuleEntry, size: int, *, of_tokens: bool
) -> DenseSpec | LayerNormSpec | NormalizeSpec | None:
    """Read a module whose input has length ``size``; None if the module only matters in training."""
    config = Config.read_if_present(files, entry.file("config.json"))
    usual = _TOKENS if of_tokens and entry.kind == "Dense" else _SENTENCE
    name = config.string("module_input_name", usual)
    supported = (_SENTENCE, _TOKENS) if of_tokens and entry.kind in ("Dense", "Normalize") else (_SENTENCE,)
    if name not in supported:
        raise UnsupportedModelError(
            f"{config.where}: module_input_name {name!r:.80} is not supported, only "
            f"{' or '.join(map(repr, supported))}."
        )
    if (output := config.string("module_output_name", name)) != name:
        raise UnsupportedModelError(
            f"{config.where}: module_output_name {output!r:.80} is not supported, only {name!r}, which is its input."
        )
    if entry.kind == "Normalize":
        return NormalizeSpec(of_tokens=name == _TOKENS)
    if entry.kind == "Dropout":
        return None
    if entry.kind == "LayerNorm":
        return LayerNormSpec(entry.folder, size)
    in_features, out_features = config.size("in_features"), config.size("out_features")
    if in_features != size:
        raise InvalidModelError(
            f"{config.where}: in_features is {in_features}, but the module before it gives vectors of length {size}."
        )
    use_residual = config.flag("use_residual", False)
    activation = config.string("activation_function", "torch.nn.modules.activation.Tanh")
    if activation not in BY_TORCH_CLASS:
        raise UnsupportedModelError(
            f"{config.where}: activation_function {activation!r:.80} is not supported, and Pellucid never runs code "
            f"from a model. Supported: {', '.join(BY_TORCH_CLASS)}."
        )
    return DenseSpec(
        folder=entry.folder,
        in_features=in_features,
        out_features=out_features,
        activation=BY_TORCH_CLASS[activation],
        bias=config.flag("bias", True),
        use_residual=use_residual,
        of_tokens=name == _TOKENS,
    )
