from __future__ import annotations

import re

from pellucid.engines import native
from pellucid.engines.dtypes import NATIVE_DTYPES
from pellucid.engines.threads import usable_processors
from tests.cli.command import run


def test_cpu_shows_the_instruction_set_the_threads_and_the_peaks(monkeypatch):
    monkeypatch.delenv("PELLUCID_CPU", raising=False)
    monkeypatch.setattr(native, "peaks", lambda _: dict.fromkeys(("multiply_add", *NATIVE_DTYPES), 1.6))
    result = run("bench", "--cpu")
    assert result.code == 0
    assert re.search(rf"^instruction set +{native.supported_instruction_sets()[0]}$", result.out, re.MULTILINE)
    assert re.search(rf"^threads +{usable_processors()}$", result.out, re.MULTILINE)
    assert "2 in float32, 2 in int16, 2 in int8, 2 in int4, 2 in bfloat16" in result.out


def test_the_environment_and_the_option_override_the_choice(monkeypatch):
    monkeypatch.setenv("PELLUCID_CPU", "scalar")
    monkeypatch.setattr(native, "peaks", lambda _: dict.fromkeys(("multiply_add", *NATIVE_DTYPES), 1.0))
    out = run("bench", "--cpu", "--threads", "3").out
    assert re.search(r"^instruction set +scalar$", out, re.MULTILINE)
    assert re.search(r"^threads +3$", out, re.MULTILINE)


def test_it_measures_all_dtypes_or_the_requested_ones(tiny_bert):
    lines = run("bench", "--model", str(tiny_bert)).out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["dtype", *NATIVE_DTYPES]
    lines = run("bench", "--model", str(tiny_bert), "--dtype", "int8").out.splitlines()
    assert re.fullmatch(r"int8 +[\d.]+ s +[\d.]+ ms +[\d,]+ +[\d,]+", lines[3])


def test_a_wrong_value_is_an_error_of_one_line(monkeypatch):
    assert run("bench", "--threads", "0").err.startswith("pellucid: --threads 0 must be")
    assert run("bench", "--revision", "..").err.startswith("pellucid: --revision .. must be the name of a branch")
    monkeypatch.setenv("PELLUCID_CPU", "abacus")
    result = run("bench", "--cpu")
    assert (result.code, result.out) == (2, "")
    assert "PELLUCID_CPU='abacus' is not an instruction set of this machine" in result.err
