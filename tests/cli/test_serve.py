from __future__ import annotations

import pytest

from tests.cli.command import run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "there is no API key"),
        (["--api-key-file", "/nowhere"], "/nowhere cannot be read"),
        (["--max-waiting", "0"], "--max-waiting must be at least 1"),
        (["--request-memory", "0"], "--request-memory must be at least 1"),
        (["--max-connections", "0"], "--max-connections must be at least 1"),
        (["--memory", "0"], "--memory must be at least 1 MB"),
        (["--timeout", "0"], "--timeout must be more than 0"),
        (["--port", "70000"], "'--port'"),
        (["--task", "dense", "--task", "auto"], "--task is given 2 times, and --model only 1 times"),
        (["--task", "rerank"], "'rerank' is not one of 'auto', 'dense', 'sparse', 'multi-vector'"),
        (["--alias", "a"], "--alias 'a' must be of the form NAME=MODEL"),
        (["--alias", "a=another"], "'another', which this server does not serve. It serves '/nowhere'"),
    ],
)
def test_a_wrong_call_is_refused_before_a_model_is_loaded(arguments, message):
    result = run("serve", "--model", "/nowhere", *arguments)
    assert result.code == 2
    assert message in result.err


def test_a_missing_model_is_an_error(tmp_path):
    result = run("serve", "--model", str(tmp_path / "none"), "--port", "0", "--local-files-only")
    assert result.code == 1
    assert "no folder" in result.err


def test_a_key_file_without_keys_is_refused(tmp_path):
    (tmp_path / "keys").write_text("# none yet\n")
    result = run("serve", "--api-key-file", str(tmp_path / "keys"))
    assert result.code == 2
    assert "has no API key in it" in result.err
