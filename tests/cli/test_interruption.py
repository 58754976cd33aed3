"""Ctrl-C in each long command: one line, exit status 130, and what the line promises is true."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from pellucid.cli.interruption import Interrupted, message, when_interrupted
from tests import tiny
from tests.hub_server import Hub, commit_of, environment

START = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # A background job ignores it.
def interrupt(): os.kill(os.getpid(), signal.SIGINT)
"""
RUN = "from pellucid.__main__ import main; main()"


@contextmanager
def child(*arguments: str, before: str = "", env: dict[str, str] | None = None):
    """``pellucid ARGUMENTS`` in a process of its own, which runs ``before`` first."""
    command = [sys.executable, "-c", f"{START}{before}\n{RUN}", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def interrupted(*arguments: str, before: str) -> tuple[str, str]:
    """What a command prints that ``before`` interrupts."""
    with child(*arguments, before=before) as process:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 130, err
    return out, err


def wait_for(condition, process):
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_embed_says_how_to_go_on(tiny_bert):
    with child("embed", "--model", str(tiny_bert)) as process:
        process.stdin.write("the cat\n" * 3000)  # More than the first window. The rest of the input never comes.
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["text"] == "the cat"
        process.send_signal(2)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
    assert err == (
        "pellucid: interrupted. The last line may not be whole. The same command starts again with the first text; "
        "`pellucid batch` goes on where it stopped.\n"
    )


def test_embed_leaves_the_file_as_it_was(tiny_bert, tmp_path):
    out = tmp_path / "v.npy"
    out.write_text("precious")
    with child("embed", "--model", str(tiny_bert), "-o", str(out)) as process:
        wait_for(lambda: list(tmp_path.glob(".unfinished-*")), process)
        process.send_signal(2)
        assert process.wait(60) == 130
        assert process.stderr.read().startswith(f"pellucid: interrupted. {out} was not written.")
    assert [path.name for path in tmp_path.iterdir()] == ["v.npy"]
    assert out.read_text() == "precious"


def test_batch_keeps_its_files_and_the_same_command_goes_on(tiny_bert, tmp_path):
    (tmp_path / "in.txt").write_text("the cat\n" * 50)
    out = tmp_path / "out"
    arguments = ["batch", str(tmp_path / "in.txt"), "-o", str(out), "-m", str(tiny_bert), "--rows-per-file", "10"]
    before = """
from pellucid.batch import parts
write = parts.write
def write_and_interrupt(*arguments):
    done = write(*arguments)
    interrupt()
    return done
parts.write = write_and_interrupt
"""
    _, err = interrupted(*arguments, before=before)
    kept = len(list(out.glob("*.parquet")))
    assert 0 < kept < 5
    verb = "1 file" if kept == 1 else f"{kept} files"
    assert err.startswith(f"pellucid: interrupted. {verb} in {out} {'is' if kept == 1 else 'are'} whole, and kept. ")
    assert err.endswith("Run the same command again: it goes on where it stopped.\n")
    assert err.count("\n") == 1
    with child(*arguments) as process:
        shown, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert shown.startswith(f"50 rows in 5 files ({kept} from earlier runs)")


def test_bench_keeps_the_rows_that_it_has_printed(tiny_bert):
    before = """
from pellucid.cli import bench
measure, calls = bench._median_seconds, []
def measure_and_interrupt(work, runs):
    calls.append(work)
    return interrupt() if len(calls) == 3 else measure(work, runs)
bench._median_seconds = measure_and_interrupt
"""
    out, err = interrupted("bench", "-m", str(tiny_bert), before=before)
    assert [line.split()[0] for line in out.splitlines()[3:]] == ["float32"]
    assert err == "pellucid: interrupted. The rows above are complete.\n"


def test_compare_writes_nothing(tiny_bert, tmp_path):
    before = """
from pellucid.measuring import rounds
rounds._run_worker = lambda *_, **__: interrupt()
"""
    out, err = interrupted("models", "compare", str(tiny_bert), "-o", str(tmp_path / "f.json"), before=before)
    assert (out, err) == ("", "pellucid: interrupted. Nothing was written.\n")
    assert list(tmp_path.iterdir()) == []


def test_pull_completes_when_it_is_run_again(tmp_path):
    folder = tiny.write_model(tmp_path / "model")
    weights = "model.safetensors"
    half = (folder / weights).stat().st_size // 2
    repositories = {"org/tiny": {"main": folder, commit_of(folder): folder}}
    with Hub(repositories, stall={weights: half}) as hub:
        env = environment(tmp_path / "home", HF_ENDPOINT=hub.url)
        with child("models", "pull", "org/tiny", env=env) as process:
            assert hub.stalled.wait(60)
            process.send_signal(2)
            _, err = process.communicate(timeout=60)
            assert process.returncode == 130
        last = err.splitlines()[-1]
        assert last == (
            "pellucid: interrupted. Run the same command again: a download from the Hub goes on where it stopped."
        )
        assert "Traceback" not in err
        hub.stall.clear()
        with child("models", "pull", "org/tiny", env=env) as process:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
        assert out.startswith("org/tiny: 8 files, ")


@pytest.mark.parametrize("module", ["pellucid.cli", "typer", "pellucid.cli.embed"])
def test_the_start_ends_without_a_traceback_too(module):
    before = f"""
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == {module!r}:
            interrupt()
sys.meta_path.insert(0, Finder)
"""
    assert interrupted("embed", "x", before=before) == ("", "pellucid: interrupted.\n")


def test_a_command_finds_its_words_when_it_is_interrupted():
    done: list[int] = []

    def work() -> None:
        with when_interrupted(lambda: f"{len(done)} of 5 are kept."):
            done.extend([1, 2, 3])
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as raised:
        work()
    assert message(raised.value) == "pellucid: interrupted. 3 of 5 are kept."
    assert message(KeyboardInterrupt()) == "pellucid: interrupted."
