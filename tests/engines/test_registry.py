from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pellucid import Embedder
from pellucid.encoder.fingerprint import Fingerprint
from pellucid.engines import native, registry
from pellucid.engines.dtypes import NATIVE_DTYPES
from pellucid.engines.registry import check_options
from pellucid.engines.torch.devices import is_installed
from pellucid.errors import MissingExtraError, OptionError
from pellucid.layers.finish import Pool
from tests import static_models


@pytest.mark.parametrize(
    ("engine", "dtype"),
    [
        ("auto", "float32"),
        ("auto", "int8"),
        *(("native", dtype) for dtype in ("float32", "int16", "int8", "int4", "bfloat16", "auto")),
        ("reference", "float32"),
        ("reference", "auto"),
    ],
)
@pytest.mark.parametrize("threads", [None, 1, 64])
def test_supported_options_pass(engine, dtype, threads):
    assert check_options(engine, dtype=dtype, device="cpu", threads=threads) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "fast"}, "engine='fast' is not one of auto, native, reference"),
        ({"dtype": "int2"}, "dtype='int2' is not supported by engine='auto'. Choose one of float32, int16, int8, int4"),
        (
            {"name": "reference", "dtype": "int8"},
            "dtype='int8' is not supported by engine='reference'. Choose one of float32, auto",
        ),
        ({"name": "native", "device": "cuda"}, "device='cuda' is not supported by engine='native'"),
        ({"name": "torch", "dtype": "int8"}, "dtype='int8' is not supported by engine='torch'"),
        ({"name": "torch", "dtype": "int4"}, "dtype='int4' is not supported by engine='torch'"),
        ({"device": "cuda", "dtype": "int8"}, "dtype='int8' is not supported by engine='auto' on 'cuda'"),
        ({"threads": 0}, "threads=0 must be a whole number from 1 to 16,384"),
        ({"threads": True}, "threads=True must be"),
        ({"threads": 1.5}, "threads=1.5 must be"),
    ],
)
def test_an_unsupported_option_is_named_in_the_error(options, message):
    with pytest.raises(OptionError, match=message):
        check_options(**{"name": "auto", "dtype": "float32", "device": "cpu", "threads": None, **options})


@pytest.mark.skipif(is_installed(), reason="PyTorch is installed")
@pytest.mark.parametrize("options", [{"engine": "torch"}, {"device": "cuda"}, {"dtype": "float16"}])
def test_without_pytorch_the_error_has_the_install_command_and_comes_before_any_file_is_looked_for(options):
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[torch\]'"):
        Embedder("no/such-model", **options)


@pytest.mark.skipif(is_installed(), reason="PyTorch is installed")
def test_on_a_cpu_the_dtypes_of_the_native_engine_are_suggested_before_pytorch():
    with pytest.raises(
        MissingExtraError,
        match="choose dtype='int16', .* or dtype='int8', the fastest; dtype='float16' needs the package",
    ):
        Embedder("no/such-model", dtype="float16")


@pytest.mark.skipif(is_installed(), reason="PyTorch is installed")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "auto"])
def test_on_a_gpu_every_dtype_needs_pytorch(dtype):
    with pytest.raises(MissingExtraError, match="^this needs the package 'torch'"):
        Embedder("no/such-model", dtype=dtype, device="cuda")


class TestAutomaticDtype:
    @pytest.mark.parametrize("cpu", native.supported_instruction_sets())
    def test_it_is_one_that_keeps_a_cosine_of_0_9999(self, cpu, minilm, golden_minilm, monkeypatch):
        monkeypatch.setenv(native.CPU_VARIABLE, cpu)
        embedder = Embedder(minilm.files.folder, dtype="auto", on_truncation="cut")
        assert embedder.engine.dtype in NATIVE_DTYPES
        vectors = embedder.embed_documents(golden_minilm.texts[::6])
        assert (vectors * golden_minilm.vectors[::6]).sum(axis=1).min() > 0.9999

    def test_the_name_of_the_chosen_one_is_in_the_repr_and_in_the_fingerprint(self, tiny_bert, monkeypatch):
        monkeypatch.setattr(registry, "fastest_dtype", lambda _: "int16")
        chosen, named = (Embedder(tiny_bert, dtype=dtype) for dtype in ("auto", "int16"))
        assert repr(chosen) == repr(named)
        assert repr(chosen).endswith("engine='native', dtype='int16')")
        fingerprints = [Fingerprint.of(each.encoder, "", {}, "task") for each in (chosen, named)]
        assert fingerprints[0] == fingerprints[1]
        assert fingerprints[0].dtype == "int16"

    def test_where_nothing_is_nearly_exact_and_faster_it_is_float32(self, tiny_bert, tmp_path):
        static = static_models.write_model2vec_case(tmp_path, "bert, int8")
        assert Embedder(tiny_bert, dtype="auto", engine="reference").engine.dtype == "float32"
        assert Embedder(static, dtype="auto").engine.dtype == "float32"

    @pytest.mark.parametrize(
        ("only_torch", "device", "chosen"),
        [("", "cuda:1", "float16"), ("No.", "cuda", "float32"), ("", "mps", "float32")],
    )
    def test_on_a_gpu_it_is_float16_for_our_own_families(self, only_torch, device, chosen, tiny_bert):
        spec = replace(Embedder(tiny_bert).spec.encoder, only_torch=only_torch)
        assert registry._automatic_dtype("torch", spec, device) == chosen


class TestAThirdPartyEngine:
    """It is registered from outside, as a third party would do it."""

    @pytest.fixture(autouse=True)
    def register_toy(self, monkeypatch):
        monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
        registry.register(registry.EngineEntry("toy", dtypes=("float32", "int4"), module="tests.engines.toy"))

    def test_it_embeds_by_its_name(self, tiny_bert):
        embedder = Embedder(tiny_bert, engine="toy", dtype="int4", threads=3)
        assert (embedder.engine.name, embedder.engine.dtype, embedder.engine.threads) == ("toy", "int4", 3)
        vectors = embedder.embed_documents(["the cat", "a dog sat", ""])
        assert vectors.shape == (3, embedder.dimensions)
        finish = Pool(embedder.spec.pooling, embedder.encoder.modules)
        tokens, _ = embedder.tokenizer.tokenize(["a dog sat"])
        rows = np.repeat(tokens.ids[:, None], embedder.spec.encoder.hidden_size, axis=1).astype(np.float32)
        np.testing.assert_array_equal(vectors[1:2], finish(rows, tokens))

    def test_error_messages_offer_it_and_its_options_are_checked(self, tiny_bert):
        with pytest.raises(OptionError, match="is not one of auto, native, reference, torch, toy"):
            Embedder(tiny_bert, engine="fast")
        with pytest.raises(
            OptionError, match="dtype='int8' is not supported by engine='toy'. Choose one of float32, int4"
        ):
            Embedder(tiny_bert, engine="toy", dtype="int8")
        assert Embedder(tiny_bert, engine="toy", dtype="auto").engine.dtype == "float32"  # its first one
        with pytest.raises(OptionError, match="device='cuda' is not supported by engine='toy'"):
            Embedder(tiny_bert, engine="toy", device="cuda")

    @pytest.mark.parametrize("name", ["toy", "native", "auto"])
    def test_a_taken_name_is_refused(self, name):
        with pytest.raises(OptionError, match=f"the engine name '{name}' is already taken"):
            registry.register(registry.EngineEntry(name, ("float32",), "tests.engines.toy"))
