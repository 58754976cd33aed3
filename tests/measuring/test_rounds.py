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
    """Another tiny model, of another width."""
    return tiny.write_model(tmp_path_factory.mktemp("models") / "other", seed=1, modules=["Pooling", "Dense"])


@pytest.fixture
def one_round(monkeypatch):
    monkeypatch.setattr(module, "ROUNDS", 1)


def test_each_takes_its_turn_in_every_round_and_their_neighbours_are_compared(tiny_bert, other):
    contenders, turns = [Contender(str(tiny_bert)), Contender(str(other))], []
    found = compare(contenders, TEXTS, neighbours=5, step=turns.append)
    assert turns == contenders * 3
    assert found.failures == {}
    assert [one.contender for one in found.figures] == contenders
    assert [one.dimensions for one in found.figures] == [16, 8]
    for one in found.figures:
        for values, median in (
            (one.memory_bytes, one.memory),
            (one.loading_seconds, one.loading),
            (one.query_seconds, one.query),
            (one.texts_seconds, one.embedding),
        ):
            assert len(values) == 3
            assert median == sorted(values)[1] > 0
    vectors = [Embedder(model).embed_documents(TEXTS) for model in (tiny_bert, other)]
    assert (found.texts, found.neighbours, found.chance) == (18, 5, 5 / 17)
    np.testing.assert_allclose(found.agreement, agreement(vectors, 5))


@pytest.mark.usefixtures("one_round")
def test_the_arithmetic_is_a_contender_too(tiny_bert):
    contenders = [Contender(str(tiny_bert), dtype) for dtype in ("float32", "int8")]
    found = compare(contenders, TEXTS, BenchOptions(threads=1))
    vectors = [Embedder(tiny_bert, dtype=one.dtype, threads=1).embed_documents(TEXTS) for one in contenders]
    np.testing.assert_allclose(found.agreement, agreement(vectors, found.neighbours))


@pytest.mark.usefixtures("one_round")
@pytest.mark.parametrize(("models", "texts"), [(1, TEXTS), (2, TEXTS[:2]), (2, TEXTS[:1])])
def test_where_there_is_no_choice_there_is_no_agreement(tiny_bert, other, models, texts):
    found = compare([Contender(str(model)) for model in (tiny_bert, other)[:models]], texts)
    assert len(found.figures) == models
    assert (found.neighbours, found.agreement) == (0, None)


@pytest.mark.usefixtures("one_round")
def test_one_that_cannot_be_found_or_loaded_is_named_and_the_others_are_measured(tiny_bert, other, broken):
    (broken / "model.safetensors").write_bytes(b"")
    contenders = [Contender(str(model)) for model in (tiny_bert, broken, "./nowhere", other)]
    found = compare(contenders, TEXTS, BenchOptions(local_files_only=True))
    assert [one.contender for one in found.figures] == [contenders[0], contenders[3]]
    assert found.agreement.shape == (2, 2)
    assert list(found.failures) == [contenders[2], contenders[1]]
    assert "no folder './nowhere'" in found.failures[contenders[2]]
    assert "model.safetensors is not a sound safetensors file" in found.failures[contenders[1]]


@pytest.mark.parametrize(
    ("code", "message"),
    [("os.kill(os.getpid(), 9)", "was ended by SIGKILL"), ("sys.exit(3)", "ended with code 3"), ("", "with code 0")],
)
def test_a_process_that_dies_is_a_failure(tiny_bert, tmp_path, monkeypatch, code, message):
    (tmp_path / "dying.py").write_text(f"import os, sys\n{code}\n")
    monkeypatch.setattr(module, "WORKER", "dying")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    contender = Contender(str(tiny_bert))
    found = compare([contender], TEXTS)
    assert found.figures == ()
    assert message in found.failures[contender]


def test_a_wrong_call_is_refused_before_any_model_is_looked_for():
    nowhere = Contender("no/such-model")
    for contenders, texts, options, message in (
        ([nowhere, nowhere], TEXTS, BenchOptions(), "no/such-model is there twice"),
        ([nowhere], [], BenchOptions(), "there are no texts"),
        ([nowhere], TEXTS, BenchOptions(threads=0), "threads=0"),
        ([Contender("no/such-model", "int4")], TEXTS, BenchOptions(), "dtype='int4'"),
    ):
        with pytest.raises(OptionError, match=re.escape(message)):
            compare(contenders, texts, options)


def is_running(process: str) -> bool:
    """Whether it is, by Linux's own list, and neither gone nor waiting to be buried."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(true, seconds: float, otherwise: str):
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)
    return value


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's list of a process's children")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_when_it_ends_so_does_the_process_that_measures(tiny_bert, tmp_path, sent):
    script = """
import signal, sys
from pellucid.measuring.rounds import Contender, compare
signal.signal(signal.SIGINT, signal.default_int_handler)  # Started in the background, it would be ignored.
compare([Contender(sys.argv[1])], ["cat " * 20 + str(number) for number in range(300_000)])
"""  # Which takes far longer than the test waits.
    env = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script, str(tiny_bert)], env=env, stderr=subprocess.PIPE) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        child = wait_until(lambda: children.read_text().strip(), 60, "nothing was started")
        process.send_signal(sent)  # To it alone: the terminal would have told the child too.
        process.wait(timeout=60)
        wait_until(lambda: not is_running(child), 60, "it goes on and on")
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
def test_a_label_is_as_short_as_tells_them_apart(models, dtypes, expected):
    assert labels([Contender(model, dtype) for model in models for dtype in dtypes]) == expected
