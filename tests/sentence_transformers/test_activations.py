from __future__ import annotations

import sys

import numpy as np
import pytest

from pellucid.errors import MissingExtraError, OptionError
from pellucid.sentence_transformers.activations import Activation, activate, as_activation

LOGITS = np.array([[-1.0, 0.0, 2.0]], dtype=np.float32)


def torch_module(name: str, module: str = "torch.nn.modules.activation", **attributes):
    """An object of the class that PyTorch has under this name."""
    return type(name, (), {"__module__": module, "__call__": np.positive, **attributes})()


@pytest.mark.parametrize(
    ("value", "name", "scores"),
    [
        ("sigmoid", "sigmoid", [0.26894142, 0.5, 0.880797]),
        (torch_module("Sigmoid"), "sigmoid", [0.26894142, 0.5, 0.880797]),
        (torch_module("Identity", "torch.nn.modules.linear"), "identity", [-1, 0, 2]),
        (torch_module("ReLU"), "relu", [0, 0, 2]),
        (torch_module("Tanh"), "tanh", [-0.7615942, 0, 0.9640276]),
        (torch_module("GELU", approximate="none"), "gelu", [-0.15865526, 0, 1.9544997]),
        (Activation("tanh"), "tanh", [-0.7615942, 0, 0.9640276]),
    ],
)
def test_a_module_of_pytorch_is_computed_here(value, name, scores):
    assert as_activation(value) == Activation(name)
    np.testing.assert_allclose(activate(as_activation(value), LOGITS), [scores], rtol=0, atol=1e-6)


def test_the_repr_is_that_of_the_module():
    assert [repr(Activation(name)) for name in ("sigmoid", "identity", "gelu")] == ["Sigmoid()", "Identity()", "GELU()"]


@pytest.mark.parametrize("value", [torch_module("GELU", approximate="tanh"), torch_module("Sigmoid", "mine"), np.tanh])
def test_any_other_function_is_the_callers_and_needs_pytorch(value, monkeypatch):
    assert as_activation(value) is value
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"an activation_fn of your own needs the package 'torch'"):
        activate(value, LOGITS)


@pytest.mark.parametrize(("value", "message"), [("softmax", "'sigmoid'"), (3, "of type int")])
def test_what_is_no_activation_is_refused(value, message):
    with pytest.raises(OptionError, match=message):
        as_activation(value)
