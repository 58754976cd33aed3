from __future__ import annotations

import pytest

from pellucid import Embedder
from pellucid.engines.base import DTYPES, check_options
from pellucid.engines.torch.devices import is_installed
from pellucid.errors import MissingExtraError, OptionError


@pytest.mark.parametrize(
    ("engine", "dtype"),
    [
        ("auto", "float32"),
        ("auto", "int8"),
        *((engine, d) for engine in ("native", "reference") for d in DTYPES[engine]),
    ],
)
@pytest.mark.parametrize("threads", [None, 1, 64])
def test_what_can_be_served_passes(engine, dtype, threads):
    assert check_options(engine, dtype=dtype, device="cpu", threads=threads) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "fast"}, "engine='fast' is not one of auto, native, reference"),
        ({"dtype": "int4"}, "dtype='int4' is not served by engine='auto', only float32, int16, int8"),
        ({"name": "reference", "dtype": "int8"}, "dtype='int8' is not served by engine='reference', only float32"),
        ({"name": "native", "device": "cuda"}, "device='cuda' is not served by engine='native'"),
        ({"name": "torch", "dtype": "int8"}, "dtype='int8' is not served by engine='torch'"),
        ({"device": "cuda", "dtype": "int8"}, "dtype='int8' is not served by engine='auto' on 'cuda'"),
        ({"threads": 0}, "threads=0 must be a whole number from 1 to 16,384"),
        ({"threads": True}, "threads=True must be"),
        ({"threads": 1.5}, "threads=1.5 must be"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(options, message):
    with pytest.raises(OptionError, match=message):
        check_options(**{"name": "auto", "dtype": "float32", "device": "cpu", "threads": None, **options})


@pytest.mark.skipif(is_installed(), reason="PyTorch is there")
@pytest.mark.parametrize("options", [{"engine": "torch"}, {"device": "cuda"}, {"dtype": "float16"}])
def test_without_pytorch_the_install_command_is_told_before_a_file_is_looked_for(options):
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[torch\]'"):
        Embedder("no/such-model", **options)
