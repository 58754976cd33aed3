"""Which ops the torch engine chooses, and what it says of them."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
import torch

from pellucid import Embedder
from pellucid.engines.torch.ops import Ops, ops_for


def test_a_cpu_has_the_ops_of_pytorch(tiny_bert, caplog):
    assert type(ops_for("cpu")) is Ops
    assert not caplog.records
    engine = Embedder(tiny_bert, engine="torch").engine
    assert repr(engine) == "TorchEngine(dtype='float32', device='cpu', fused=False)"


def test_without_triton_a_gpu_has_the_ops_of_pytorch_and_the_log_says_so(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "pellucid.engines.torch.kernels", None)
    with caplog.at_level(logging.WARNING, "pellucid"):
        assert type(ops_for("cuda:1")) is Ops
    (record,) = caplog.records
    assert record.getMessage().startswith("Triton does not work on cuda:1 (ModuleNotFoundError: ")


FAILURES = [
    RuntimeError("Failed to find C compiler.\nSet CC"),
    subprocess.CalledProcessError(1, ["gcc"]),
    OSError("cache"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_a_triton_that_fails_is_not_used_and_the_log_says_why(monkeypatch, caplog, failure):
    kernels = pytest.importorskip("pellucid.engines.torch.kernels", exc_type=ImportError)

    def fail(_ops, *_inputs):
        raise failure

    monkeypatch.setattr(kernels.FusedOps, "add_norm", fail)
    monkeypatch.setattr(torch, "ones", lambda shape, **_device: torch.zeros(shape))  # There may be no GPU.
    with caplog.at_level(logging.WARNING, "pellucid"):
        assert type(ops_for("cuda")) is Ops
    (record,) = caplog.records
    assert f"({type(failure).__name__}: {str(failure).splitlines()[0]})" in record.getMessage()


def test_no_memory_is_not_taken_for_a_failure_of_triton(monkeypatch):
    kernels = pytest.importorskip("pellucid.engines.torch.kernels", exc_type=ImportError)

    def fail(_device):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(kernels.FusedOps, "tried_on", fail)
    with pytest.raises(torch.OutOfMemoryError):
        ops_for("cuda")
