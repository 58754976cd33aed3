"""Converts a model to the peers' own formats, once, with each peer's own converter.

Each part is written to a folder with a temporary name, which is renamed at the end. So an interruption leaves no
half-written part.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import texts
from gguf_files import write_bert, write_decoder
from machine import flags, without_folders

WEIGHT_MATRICES = ["MatMul"]
"""The operators that ONNX Runtime's dynamic quantisation makes int8. Lookup tables stay exact: int8 saves no time."""
CALIBRATION_TEXTS = 300
"""As many as NNCF takes by default."""


def convert(model: Path, target: Path, parts: dict[str, Callable[[Path, Path], None]] | None = None) -> dict[str, str]:
    """Make the parts that ``target`` lacks, :data:`PARTS` by default. Returns why a part could not be made."""
    failed = {}
    for name, make in (parts or PARTS).items():
        if (target / name).is_dir():
            continue
        unfinished = target / f"{name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            make(model, unfinished)
        except Exception as error:  # noqa: BLE001  the other peers can still run
            reason = next(iter(str(error).splitlines()), "").partition(" (")[0]
            failed[name] = without_folders(f"{type(error).__name__}: {reason}")
        else:
            unfinished.rename(target / name)
    return failed


def max_tokens(model: Path) -> int:
    """The most tokens that sentence-transformers gives the model. ``tokenizer.json`` has a different number."""
    return int(json.loads((model / "sentence_bert_config.json").read_text())["max_seq_length"])


def products_per_token(model: Path) -> int:
    """Floating-point operations per token, in products with weight matrices. Attention's own products do not count."""
    config = json.loads((model / "config.json").read_text())
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    return int(config["num_hidden_layers"] * 2 * (4 * hidden * hidden + 2 * hidden * inner))


def check_pipeline(model: Path) -> None:
    """Check that the model uses mean pooling and unit length.

    Most contenders only run the encoder. This benchmark adds mean pooling and normalization to them, and nothing else.

    Raises:
        ValueError: it has other modules.
    """
    modules = [module["type"].rpartition(".")[2] for module in json.loads((model / "modules.json").read_text())]
    pooling = json.loads((model / "1_Pooling" / "config.json").read_text())
    if modules != ["Transformer", "Pooling", "Normalize"] or not pooling.get("pooling_mode_mean_tokens"):
        raise ValueError(f"{model.name}: only models with mean pooling and unit length can be compared")


def _tokenizer(model: Path, target: Path) -> None:
    """The model's tokenizer, with the limit of sentence-transformers and without padding. Each peer pads by itself."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens(model))
    tokenizer.save(str(target / "tokenizer.json"))
    settings = json.loads((model / "tokenizer_config.json").read_text())
    settings["model_max_length"] = max_tokens(model)  # fastembed reads the limit here.
    (target / "tokenizer_config.json").write_text(json.dumps(settings))
    for name in ("config.json", "special_tokens_map.json"):
        shutil.copy(model / name, target / name)


def _onnx(model: Path, target: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModel

    class LastHiddenState(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = AutoModel.from_pretrained(model, attn_implementation="eager", dtype=torch.float32).eval()

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            return self.encoder(**dict(zip(names, inputs, strict=True))).last_hidden_state

    names = ["input_ids", "attention_mask"]
    if AutoConfig.from_pretrained(model).model_type == "bert":
        names.append("token_type_ids")
    ones = torch.ones(2, 7, dtype=torch.int64)
    inputs = tuple(torch.zeros_like(ones) if name == "token_type_ids" else ones for name in names)
    axes = {name: {0: "texts", 1: "tokens"} for name in [*names, "last_hidden_state"]}
    torch.onnx.export(
        LastHiddenState(),
        inputs,
        str(target / "model.onnx"),
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )


def _onnx_scores(model: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = AutoModelForSequenceClassification.from_pretrained(
                model, attn_implementation="eager", dtype=torch.float32
            ).eval()

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            return self.model(**dict(zip(names, inputs, strict=True))).logits

    names = ["input_ids", "attention_mask", "token_type_ids"]
    ones = torch.ones(2, 7, dtype=torch.int64)
    torch.onnx.export(
        Logits(),
        (ones, ones, torch.zeros_like(ones)),
        str(target / "model.onnx"),
        input_names=names,
        output_names=["logits"],
        dynamic_axes={name: {0: "texts", 1: "tokens"} for name in names} | {"logits": {0: "texts"}},
        opset_version=17,
        dynamo=False,
    )


def _reranker_tokenizer(model: Path, target: Path) -> None:
    """The model's tokenizer, cut at 512 tokens and without padding. Each peer pads by itself."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(512)
    tokenizer.save(str(target / "tokenizer.json"))
    shutil.copy(model / "config.json", target / "config.json")
    settings = json.loads((model / "tokenizer_config.json").read_text())
    settings.pop("max_length", None)  # fastembed would cut there.
    (target / "tokenizer_config.json").write_text(json.dumps(settings))
    special = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    (target / "special_tokens_map.json").write_text(json.dumps(special | {"mask_token": "[MASK]"}))


def _flashrank(_: Path, target: Path) -> None:
    """FlashRank wants everything in one folder, named after the model."""
    parts = target.parent
    shutil.copytree(parts / "tokenizer", target / "onnx-int8")
    shutil.copy(parts / "onnx-int8" / "model.onnx", target / "onnx-int8" / "model.onnx")


def _onnx_int8(_: Path, target: Path) -> None:
    """With one scale per output channel, which is as fast as one per matrix, and far closer to float32."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        target.parent / "onnx" / "model.onnx",
        target / "model.onnx",
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=WEIGHT_MATRICES,
    )


def _onnx_advised_int8(_: Path, target: Path) -> None:
    """As ``export_dynamic_quantized_onnx_model`` of sentence-transformers does, for this machine's instructions.

    Besides the matrices, it makes the tables of embeddings int8.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    has_signed_products = bool({"avx512f", "asimd"} & flags())  # Its settings for AVX2 have unsigned weights.
    quantize_dynamic(
        target.parent / "onnx" / "model.onnx",
        target / "model.onnx",
        weight_type=QuantType.QInt8 if has_signed_products else QuantType.QUInt8,
        per_channel=True,
        extra_options={"WeightSymmetric": True, "ActivationSymmetric": False},
    )


def _openvino(_: Path, target: Path) -> None:
    import openvino

    converted = openvino.convert_model(target.parent / "onnx" / "model.onnx")
    openvino.save_model(converted, target / "model.xml", compress_to_fp16=False)


def _openvino_int8(_: Path, target: Path) -> None:
    """As ``export_static_quantized_openvino_model`` of sentence-transformers does, with the defaults of optimum-intel.

    Weights and activations become int8. The ranges of the activations come from texts that are in no workload.
    sentence-transformers takes as many sentences of SST-2, and pads them all to one length too.
    """
    import nncf
    import openvino

    model = openvino.Core().read_model(target.parent / "openvino" / "model.xml")
    names = [node.any_name for node in model.inputs]
    quantized = nncf.quantize(
        model,
        nncf.Dataset(_calibration_inputs(target.parent / "tokenizer", names)),
        preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=CALIBRATION_TEXTS,
        fast_bias_correction=True,
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.DISABLE),
    )
    openvino.save_model(quantized, target / "model.xml", compress_to_fp16=False)


def _calibration_inputs(tokenizer_folder: Path, names: list[str]) -> list[dict[str, npt.NDArray[np.int64]]]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    tokenizer.enable_padding(length=tokenizer.truncation["max_length"])
    encodings = tokenizer.encode_batch(texts.last(CALIBRATION_TEXTS))
    parts = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    return [{name: np.array([getattr(each, parts[name])]) for name in names} for each in encodings]


def _gguf_float16(model: Path, target: Path) -> None:
    write_bert(model, target / "model.gguf", "F16")


def _gguf_q8_0(model: Path, target: Path) -> None:
    write_bert(model, target / "model.gguf", "Q8_0")


def _ctranslate2(model: Path, target: Path) -> None:
    """In float32. The int8 contender converts to int8 when it loads the model, with the same rounding."""
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(model)).convert(str(target), force=True)


PARTS: dict[str, Callable[[Path, Path], None]] = {
    "tokenizer": _tokenizer,
    "onnx": _onnx,
    "onnx-int8": _onnx_int8,
    "onnx-advised-int8": _onnx_advised_int8,
    "openvino": _openvino,
    "openvino-int8": _openvino_int8,
    "ctranslate2": _ctranslate2,
    "gguf-float16": _gguf_float16,
    "gguf-q8_0": _gguf_q8_0,
}
RERANKER_PARTS: dict[str, Callable[[Path, Path], None]] = {
    "tokenizer": _reranker_tokenizer,
    "onnx": _onnx_scores,
    "onnx-int8": _onnx_int8,
    "openvino": _openvino,
    "flashrank": _flashrank,
}
DECODER_PARTS: dict[str, Callable[[Path, Path], None]] = {
    f"gguf-{name}": lambda model, target, kind=kind: write_decoder(model, target / "model.gguf", kind)
    for name, kind in (("float16", "F16"), ("q8_0", "Q8_0"), ("q4_0", "Q4_0"))
}
