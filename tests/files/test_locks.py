from __future__ import annotations

import subprocess
import sys
import textwrap
import threading

import pytest

from pellucid.files.locks import locked

HOLDER = textwrap.dedent("""
    import pathlib, sys
    from pellucid.files.locks import locked
    with locked(pathlib.Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
""")


@pytest.fixture
def holder(tmp_path):
    """Another process that has the lock until its standard input is closed."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.stdin.close()


def test_a_free_lock_is_taken_at_once_and_given_back(tmp_path):
    waited = []
    for _ in range(2):
        with locked(tmp_path / "lock", on_wait=lambda: waited.append(1)):
            pass
    assert waited == []


def test_an_error_raised_before_waiting_means_not_to_wait(tmp_path, holder):
    def refuse():
        raise RuntimeError("busy")

    with pytest.raises(RuntimeError, match="busy"), locked(tmp_path / "lock", on_wait=refuse):
        pytest.fail("another process has the lock")


def test_it_waits_until_the_other_process_is_done(tmp_path, holder):
    waiting, entered = threading.Event(), threading.Event()

    def wait_for_it():
        with locked(tmp_path / "lock", on_wait=waiting.set):
            entered.set()

    thread = threading.Thread(target=wait_for_it)
    thread.start()
    assert waiting.wait(60)
    assert not entered.is_set()
    holder.stdin.close()
    assert entered.wait(60)
    thread.join(60)
