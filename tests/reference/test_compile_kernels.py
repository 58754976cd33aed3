"""The Triton kernels compile for GPUs, and once. This needs no GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")
SCRIPT = Path(__file__).with_name("compile_kernels.py")
KERNELS = 3 + 1 + 8 + 1 + 2 + 4
"""What is different for Triton: kinds of embeddings, the norm, activations, the rotation, means, kinds of attention."""


@pytest.mark.parametrize(("capability", "dtype"), [("80", "float16"), ("90", "bfloat16")])
def test_each_kernel_is_compiled_once_whatever_the_texts(capability, dtype, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    command = [sys.executable, str(SCRIPT), capability, dtype]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout.split() == [str(KERNELS)] * 3, ran.stderr
