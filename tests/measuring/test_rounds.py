from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pellucid import Embedder
from pellucid.errors import OptionError
from pellucid.measuring import rounds as module
from pellucid.measuring.neighbours import agreement
from pellucid.measuring.rounds import BenchOptions, Contender, compare, labels
from tests import tiny

TEXTS = [f"{animal} sat on the {letter} mat" for animal in ("cat", "dog", "ant") for letter in "abcdef"]


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    """Another tiny model, with vectors of another length."""
    return tiny.write_model(tmp_path_factory.mktemp("models") / "other", seed=1, modules=["Pooling", "Dense"])


@pytest.fixture
def one_round(monkeypatch):
    monkeypatch.setattr(module, "ROUNDS", 1)


def test_each_model_takes_a_turn_in_every_round_and_their_neighbours_are_compared(tiny_bert, other):
    contenders, turns = [Contender(str(tiny_bert)), Contender(str(other))], []
    found = compare(contenders, TEXTS, neighbours=5, on_turn=turns.append)
    assert turns == contenders * 3
    assert found.failures == {}
    assert [measurement.contender for measurement in found.measurements] == contenders
    assert [measurement.dimensions for measurement in found.measurements] == [16, 8]
    for measurement in found.measurements:
        for values, median in (
            (measurement.memory_bytes, measurement.median_memory_bytes),
            (measurement.loading_seconds, measurement.median_loading_seconds),
            (measurement.query_seconds, measurement.median_query_seconds),
            (measurement.texts_seconds, measurement.median_texts_seconds),
        ):
            assert len(values) == 3
            assert median == sorted(values)[1] > 0
    vectors = [Embedder(model).embed_documents(TEXTS) for model in (tiny_bert, other)]
    assert (found.texts, found.neighbours, found.chance) == (18, 5, 5 / 17)
    np.testing.assert_allclose(found.agreement, agreement(vectors, 5))


@pytest.mark.usefixtures("one_round")
def test_two_dtypes_of_a_model_are_two_contenders(tiny_bert):
    contenders = [Contender(str(tiny_bert), dtype) for dtype in ("float32", "int8")]
    found = compare(contenders, TEXTS, BenchOptions(threads=1))
    vectors = [Embedder(tiny_bert, dtype=contender.dtype, threads=1).embed_documents(TEXTS) for contender in contenders]
    np.testing.assert_allclose(found.agreement, agreement(vectors, found.neighbours))


@pytest.mark.usefixtures("one_round")
@pytest.mark.parametrize(("models", "texts"), [(1, TEXTS), (2, TEXTS[:2]), (2, TEXTS[:1])])
def test_too_few_models_or_texts_have_no_agreement(tiny_bert, other, models, texts):
    found = compare([Contender(str(model)) for model in (tiny_bert, other)[:models]], texts)
    assert len(found.measurements) == models
    assert (found.neighbours, found.agreement) == (0, None)


@pytest.mark.usefixtures("one_round")
def test_a_model_that_cannot_be_found_or_loaded_is_named_and_the_others_are_measured(tiny_bert, other, broken):
    (broken / "model.safetensors").write_bytes(b"")
    contenders = [Contender(str(model)) for model in (tiny_bert, broken, "./nowhere", other)]
    found = compare(contenders, TEXTS, BenchOptions(local_files_only=True))
    assert [measurement.contender for measurement in found.measurements] == [contenders[0], contenders[3]]
    assert found.agreement.shape == (2, 2)
    assert list(found.failures) == [contenders[2], contenders[1]]
    assert "no folder './nowhere'" in found.failures[contenders[2]]
    assert "model.safetensors is not a sound safetensors file" in found.failures[contenders[1]]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
        ("sys.exit(3)", "ended with exit code 3"),
        ("", "with exit code 0 and without a result"),
    ],
)
def test_a_process_that_dies_is_a_failure(tiny_bert, tmp_path, monkeypatch, code, message):
    (tmp_path / "dying.py").write_text(f"import os, sys\n{code}\n")
    monkeypatch.setattr(module, "WORKER", "dying")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    contender = Contender(str(tiny_bert))
    found = compare([contender], TEXTS)
    assert found.measurements == ()
    assert message in found.failures[contender]


def test_wrong_arguments_fail_before_any_model_is_looked_for():
    nowhere = Contender("no/such-model")
    for contenders, texts, options, message in (
        ([nowhere, nowhere], TEXTS, BenchOptions(), "no/such-model is listed twice"),
        ([nowhere], [], BenchOptions(), "give at least one text"),
        ([nowhere], TEXTS, BenchOptions(threads=0), "threads=0"),
        ([Contender("no/such-model", "int2")], TEXTS, BenchOptions(), "dtype='int2'"),
    ):
        with pytest.raises(OptionError, match=re.escape(message)):
            compare(contenders, texts, options)


def is_running(process: str) -> bool:
    """True if Linux lists the process, and not as dead or as a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, seconds: float, failure: str):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, failure
        time.sleep(0.01)
    return value


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's list of a process's children")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_the_worker_ends_when_its_parent_ends(tiny_bert, tmp_path, sent):
    script = """
import signal, sys
from pellucid.measuring.rounds import Contender, compare
signal.signal(signal.SIGINT, signal.default_int_handler)  # A background job would ignore it.
compare([Contender(sys.argv[1])], ["cat " * 20 + str(number) for number in range(300_000)])
"""  # This takes far longer than the test waits.
    env = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script, str(tiny_bert)], env=env, stderr=subprocess.PIPE) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        child = wait_until(lambda: children.read_text().strip(), 60, "no worker was started")
        process.send_signal(sent)  # Only to the parent. A terminal would send it to the child too.
        process.wait(timeout=60)
        wait_until(lambda: not is_running(child), 60, "the worker goes on")
        errors = process.stderr.read()
    if sent == signal.SIGINT:
        assert b"KeyboardInterrupt" in errors
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("models", "dtypes", "expected"),
    [
        (["sentence-transformers/all-MiniLM-L6-v2", "BAAI/bge"], ["int8"], ["all-MiniLM-L6-v2", "bge"]),
        (["models/a/", "."], ["int8"], ["a", "."]),
        (["x/a", "y/a", "b"], ["int8"], ["x/a", "y/a", "b"]),
        (["x/a", "b"], ["int8", "int16"], ["a int8", "a int16", "b int8", "b int16"]),
    ],
)
def test_a_label_is_as_short_as_possible_but_distinct(models, dtypes, expected):
    assert labels([Contender(model, dtype) for model in models for dtype in dtypes]) == expected
