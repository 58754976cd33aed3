from __future__ import annotations

import numpy as np
import pytest

from pellucid import Embedder
from pellucid.engines import registry
from pellucid.engines.registry import check_options
from pellucid.engines.torch.devices import is_installed
from pellucid.errors import MissingExtraError, OptionError
from pellucid.layers.finish import Pool


@pytest.mark.parametrize(
    ("engine", "dtype"),
    [
        ("auto", "float32"),
        ("auto", "int8"),
        *(("native", dtype) for dtype in ("float32", "int16", "int8", "bfloat16", "auto")),
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
        ({"dtype": "int4"}, "dtype='int4' is not supported by engine='auto'. Choose one of float32, int16, int8"),
        (
            {"name": "reference", "dtype": "int8"},
            "dtype='int8' is not supported by engine='reference'. Choose one of float32, auto",
        ),
        ({"name": "native", "device": "cuda"}, "device='cuda' is not supported by engine='native'"),
        ({"name": "torch", "dtype": "int8"}, "dtype='int8' is not supported by engine='torch'"),
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
        with pytest.raises(OptionError, match="device='cuda' is not supported by engine='toy'"):
            Embedder(tiny_bert, engine="toy", device="cuda")

    @pytest.mark.parametrize("name", ["toy", "native", "auto"])
    def test_a_taken_name_is_refused(self, name):
        with pytest.raises(OptionError, match=f"the engine name '{name}' is already taken"):
            registry.register(registry.EngineEntry(name, ("float32",), "tests.engines.toy"))
