"""A model's JSON files to its :class:`~pellucid.model.spec.ModelSpec`.

``modules.json`` lists the stages in order: a Transformer, a Pooling, and what follows. Each stage's own config lies in
the folder that the list gives. No code of the model is ever run: a class we do not know is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.layers import head
from pellucid.layers.pooling import MODES, Pooling
from pellucid.model import weights
from pellucid.model.config import Config, read_json
from pellucid.model.families import family_of, other
from pellucid.model.spec import EncoderSpec, ModelSpec, TokenizerSpec
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
# In sentence-transformers, every model has these, if only as "".
_PROMPTS_OF_EVERY_MODEL = ("query", "document")
_MOST_PROMPT = 10_000  # Characters. It goes before every text, and real ones have some hundred.
_SENTENCE_CONFIGS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")


@dataclass(frozen=True)
class _Module:
    """One entry of modules.json."""

    kind: str
    folder: str

    def file(self, name: str) -> str:
        """The path of one of its files, relative to the model's folder."""
        return f"{self.folder}/{name}" if self.folder else name


def load_spec(files: ModelFiles) -> ModelSpec:
    """Read everything that the JSON files of a model say, and the weights of the modules after pooling.

    Raises:
        InvalidModelError: a file is missing, broken, or contradicts another.
        UnsupportedModelError: an architecture, a module or a setting that we do not run.
    """
    transformer, *after = _modules(files)
    config = Config.read(files, transformer.file("config.json"))
    encoder = _encoder(config)
    if encoder.hidden_size % encoder.heads and not encoder.only_torch:
        raise InvalidModelError(
            f"{config.where}: {encoder.heads} attention heads do not divide a hidden size of {encoder.hidden_size}."
        )
    if encoder.head_size % 2 and any(layer.rotary_base is not None for layer in encoder.attention):
        raise InvalidModelError(f"{config.where}: heads of {encoder.head_size} numbers cannot be turned in pairs.")
    if encoder.max_tokens < 1:
        raise InvalidModelError(f"{config.where}: max_position_embeddings leaves no room for a token.")
    pooling, size = _pooling(files, after[0], config, encoder.hidden_size)
    modules = []
    for module in after[1:]:
        if (made := _head_module(files, module, size)) is not None:
            modules.append(made)
            size = made.weight.shape[0] if isinstance(made, head.Dense) else size
    settings = "config_sentence_transformers.json"
    sentence = Config.read_if_there(files, settings) if files.has("modules.json") else Config(settings, {})
    prompts = sentence.strings("prompts")
    if long := [name for name, prompt in prompts.items() if len(prompt) > _MOST_PROMPT]:
        raise InvalidModelError(
            f"{sentence.where}: the prompt {long[0]!r:.80} has {len(prompts[long[0]]):,} characters, and at most "
            f"{_MOST_PROMPT:,} are read."
        )
    default = sentence.string("default_prompt_name", "") or None
    if default is not None and default not in {*prompts, *_PROMPTS_OF_EVERY_MODEL}:
        raise InvalidModelError(f"{sentence.where}: default_prompt_name {default!r:.80} is not one of its prompts.")
    return ModelSpec(
        name=files.name,
        encoder_folder=transformer.folder,
        encoder=encoder,
        tokenizer=_tokenizer(files, transformer, encoder),
        pooling=pooling,
        head=tuple(modules),
        prompts=MappingProxyType(prompts),
        default_prompt_name=default,
        dimensions=size,
    )


def _encoder(config: Config) -> EncoderSpec:
    """The encoder of a config.json, of one of our families, or else of whatever transformers may know."""
    try:
        return family_of(config).spec(config)
    except UnsupportedModelError as error:
        if not config.string("model_type", ""):
            raise
        return other.spec(config, str(error))


def load_weights(files: ModelFiles, spec: ModelSpec) -> weights.EncoderWeights:
    """Map and check the encoder's weights; the errors of :func:`pellucid.model.weights.read_encoder`.

    Raises:
        UnsupportedModelError: the encoder is none that can be computed with weights alone.
    """
    if spec.encoder.only_torch:
        raise UnsupportedModelError(spec.encoder.only_torch)
    config = Config.read(files, f"{spec.encoder_folder}/config.json".lstrip("/"))
    tensors = weights.Tensors.open(files, spec.encoder_folder)
    return weights.read_encoder(tensors, spec.encoder, family_of(config).names)


def count_parameters(files: ModelFiles) -> int:
    """How many numbers the weights have, of the encoder and of what follows pooling; reads only the files' headers."""
    folders = {name.rpartition("/")[0] for name in files.wanted() if name.endswith(".safetensors")}
    return sum(weights.Tensors.open(files, folder).parameters for folder in folders)


def _modules(files: ModelFiles) -> list[_Module]:
    """The stages of ``modules.json``; a model without it is a plain transformer, which is pooled by its mean."""
    if not files.has("modules.json"):
        return [_Module("Transformer", ""), _Module("Pooling", "")]
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
        modules.append(_Module(kind, tidy(folder)))
    kinds = [module.kind for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or "Transformer" in kinds[1:] or "Pooling" in kinds[2:]:
        raise UnsupportedModelError(f"{where}: {' → '.join(kinds)} is not Transformer → Pooling → ….")
    return modules


def _kind(where: str, class_name: str) -> str:
    package, _, kind = class_name.rpartition(".")
    known = ("Transformer", "Pooling", "Dense", "LayerNorm", "Normalize", "Dropout")
    if kind in known and (package in _PACKAGES or any(package.startswith(f"{p}.") for p in _PACKAGES)):
        return kind
    raise UnsupportedModelError(
        f"{where}: the module class {class_name!r:.200} is not supported, and code of a model is never run. "
        f"Supported: {', '.join(known)} of sentence-transformers."
    )


def _pooling(files: ModelFiles, module: _Module, encoder: Config, hidden: int) -> tuple[Pooling, int]:
    """The pooling modes, and the size of the pooled vector. ``encoder`` is the encoder's config.json: a model without
    modules.json that was made to tell the next token is pooled by its last, as sentence-transformers does.
    """
    if not module.folder:
        architectures = encoder.values.get("architectures")
        causal = isinstance(architectures, list) and architectures and str(architectures[0]).endswith("ForCausalLM")
        return Pooling(("lasttoken" if causal and encoder.flag("is_causal", True) else "mean",)), hidden
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
    return Pooling(modes, config.flag("include_prompt", True)), hidden * len(modes)


def _head_module(files: ModelFiles, module: _Module, size: int) -> head.HeadModule | None:
    """A module after pooling, for vectors of ``size`` numbers; None if it does nothing outside training."""
    config = Config.read_if_there(files, module.file("config.json"))
    for key in ("module_input_name", "module_output_name"):
        if (name := config.string(key, "sentence_embedding")) != "sentence_embedding":
            raise UnsupportedModelError(
                f"{config.where}: {key} {name!r:.80} is not supported, only 'sentence_embedding'."
            )
    if module.kind == "Normalize":
        return head.Normalize()
    if module.kind == "Dropout":
        return None
    if module.kind == "LayerNorm":
        norm = weights.read_norm(weights.Tensors.open(files, module.folder), "norm", size)
        return head.LayerNorm(norm.weight, norm.bias)
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
    tensors = weights.Tensors.open(files, module.folder)
    return head.Dense(
        weight=tensors.read("linear.weight", (out, into)),
        bias=tensors.read("linear.bias", (out,)) if config.flag("bias", True) else None,
        activation=_DENSE_ACTIVATIONS[activation],
        use_residual=use_residual,
        residual=tensors.read("residual.weight", (out, into)) if use_residual and into != out else None,
    )


def _tokenizers_arguments(sentence: Config) -> Config:
    """What ``sentence_bert_config.json`` hands to the tokenizer, which goes before all else.

    Raises:
        UnsupportedModelError: the file asks for what would change the numbers, and is not done here.
    """
    for key, only in (("transformer_task", "feature-extraction"), ("module_output_name", "token_embeddings")):
        if (value := sentence.string(key, only)) != only:
            raise UnsupportedModelError(f"{sentence.where}: {key} {value!r:.80} is not supported, only {only!r}.")
    if asked := sentence.section("processing_kwargs").values:
        raise UnsupportedModelError(f"{sentence.where}: processing_kwargs ({', '.join(asked):.80}) are not supported.")
    # Their name now, and that of the versions before.
    sections = (sentence.section(key) for key in ("processor_kwargs", "tokenizer_args"))
    return next((section for section in sections if section.values), Config(sentence.where, {}))


def _tokenizer(files: ModelFiles, module: _Module, encoder: EncoderSpec) -> TokenizerSpec:
    """How texts are cut. The longest length is the sentence-transformers config's, else the tokenizer's; and never
    more than there are positions. What ``tokenizer.json`` says of truncation and padding does not count. Without
    modules.json sentence-transformers reads no config of its own.
    """
    names = [module.file(f"sentence_{family}_config.json") for family in _SENTENCE_CONFIGS]
    name = next((name for name in names if files.has(name)), names[0])
    sentence = Config.read_if_there(files, name) if files.has("modules.json") else Config(name, {})
    tokenizer = Config.read_if_there(files, module.file("tokenizer_config.json"))
    longest = sentence.number("max_seq_length", tokenizer.number("model_max_length", math.inf))  # Often 1e30: no limit.
    longest = min(_tokenizers_arguments(sentence).number("model_max_length", longest), encoder.max_tokens)
    if longest < 1:
        raise InvalidModelError(f"{sentence.where}: a max_seq_length of {longest:g} leaves no room for a token.")
    side: Literal["left", "right"] = "left" if tokenizer.string("truncation_side", "right") == "left" else "right"
    return TokenizerSpec(module.folder, int(longest), sentence.flag("do_lower_case", False), side)
