from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from docs.running import matches, run, run_command, shown_line


def python(*lines: str) -> str:
    code = "\n".join(lines)
    return f"```python\n{code}\n```\n"


def test_all_python_is_one_program_in_one_folder(tmp_path):
    first = python("from pathlib import Path", "Path('a').write_text('x')")
    second = python("print(Path('a').exists())")
    assert [output.actual for output in run(f"{first}\n{second}", tmp_path)] == ["", "True\n"]
    assert (tmp_path / "a").exists()


def test_commands_and_python_share_the_folder(tmp_path):
    first = "```console\n$ pellucid --version > version.txt\n```\n"
    second = python("from pathlib import Path", "print(Path('version.txt').read_text()[:8])")
    assert [output.actual for output in run(f"{first}\n{second}", tmp_path)] == ["", "pellucid\n"]


def test_a_block_that_needs_a_missing_package_is_skipped(tmp_path):
    page = "<!-- needs: no_such_package -->\n```python\nraise ValueError\n```\n"
    assert list(run(page, tmp_path)) == []


def test_an_error_in_a_block_is_raised(tmp_path):
    with pytest.raises(ValueError, match="mine"):
        list(run("```python\nraise ValueError('mine')\n```\n", tmp_path))


def test_commands_that_install_are_skipped(tmp_path):
    page = "```console\n$ pip install 'pellucid[no-such]'\n$ pellucid --version\n```\n"
    assert [output.command for output in run(page, tmp_path)] == ["pellucid --version"]


def test_a_command_gives_stdout_stderr_and_its_status(tmp_path):
    assert run_command("echo out; echo err >&2; exit 3", tmp_path) == ("out\nerr\n", 3)


def test_a_command_writes_to_a_terminal_except_where_the_command_line_has_a_pipe(tmp_path):
    ask = "python -c 'import sys; print(sys.stdout.isatty())'"
    assert run_command(ask, tmp_path) == ("True\n", 0)
    assert run_command(f"{ask} | cat", tmp_path) == ("False\n", 0)
    assert run_command(f"{ask} > file; cat file", tmp_path) == ("False\n", 0)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("a\r\n", "a\n"),
        ("a  \r\n", "a  \n"),
        ("50%\r100%\r    \r\n", "\n"),
        ("50%\r    \rdone\n", "done\n"),
        ("abc\rx", "xbc"),
    ],
)
def test_a_line_is_what_a_terminal_shows_in_the_end(written, shown):
    assert shown_line(written) == shown


def test_long_output_is_whole(tmp_path):
    assert run_command("seq 100000 | tr '\\n' ' '", tmp_path)[0] == "".join(
        f"{number} " for number in range(1, 100_001)
    )


def shown_on_a_machine(folder: Path, home: str, settings: Mapping[str, str]) -> tuple[str, int]:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("XDG_CACHE_HOME", raising=False)
        for name, value in {"HF_HUB_OFFLINE": "1", "HOME": str(folder / home), **settings}.items():
            environment.setenv(name, value)
        command = "pellucid embed 'a cat' --model no/such-model; printf '%s' ~/notes; pellucid models"
        return run_command(command, folder)


@pytest.fixture(scope="module")
def shown_on_an_ordinary_machine(tmp_path_factory) -> tuple[str, int]:
    return shown_on_a_machine(tmp_path_factory.mktemp("ordinary"), "empty", {})


@pytest.mark.parametrize(
    ("settings", "home"),
    [
        ({"FORCE_COLOR": "1", "COLUMNS": "30", "TERMINAL_WIDTH": "30", "GITHUB_ACTIONS": "1"}, "home"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LANG": "tr_TR"}, "home"),
        ({"TERM": "xterm-256color", "TTY_COMPATIBLE": "1", "PELLUCID_API_KEYS": "k"}, "h" * 40),
        ({"TERM": "", "USER": ""}, "a home/with spaces"),
    ],
)
def test_the_output_does_not_depend_on_the_readers_machine(tmp_path, shown_on_an_ordinary_machine, settings, home):
    output, status = shown_on_a_machine(tmp_path, home, settings)
    expected, expected_status = shown_on_an_ordinary_machine
    # Lines break between words, and a home folder with a long name moves the breaks.
    assert (output.split(), status) == (expected.split(), expected_status)


@pytest.mark.parametrize("home", ["/", ""])
def test_a_home_folder_at_the_root_is_not_shortened(tmp_path, monkeypatch, home):
    monkeypatch.setenv("HOME", home)
    assert run_command("echo /usr/bin", tmp_path) == ("/usr/bin\n", 0)


def test_a_cache_elsewhere_is_shown_at_its_default_path(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert run_command(f"echo {tmp_path}/pellucid/models", tmp_path) == ("~/.cache/pellucid/models\n", 0)


def test_a_command_whose_error_is_on_the_page_should_fail(tmp_path):
    page = "```console\n$ pellucid embed --model ./nowhere x\npellucid: no folder …\n$ pellucid --version\n…\n```\n"
    first, second = run(page, tmp_path)
    assert (first.should_fail, first.status) == (True, 1)
    assert (second.should_fail, second.status) == (False, 0)
    assert matches(first.expected, first.actual)


@pytest.mark.usefixtures("minilm")
def test_a_server_runs_until_the_end_of_the_page(tmp_path):
    page = (
        "```console\n$ pellucid serve --model all-MiniLM-L6-v2\nPellucid serves … at http://127.0.0.1:8080\n```\n\n"
        "```python\nfrom urllib.request import urlopen\n"
        "with urlopen('http://127.0.0.1:8080/health') as response:\n    print(response.status, response.url)\n```\n"
    )
    served, requested = run(page, tmp_path)
    assert matches(served.expected, served.actual)
    assert requested.actual == "200 http://127.0.0.1:8080/health\n"


def test_a_server_that_does_not_start_says_why(tmp_path):
    (served,) = run("```console\n$ pellucid serve --model ./nowhere\n```\n", tmp_path)
    assert (served.status, served.should_fail) == (1, False)
    assert "no folder './nowhere'" in served.actual


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("", "anything"),
        ("took 1.5 s, 1,200 texts", "took 22.25 s, 7 texts"),
        ("a  -0.13   █████", "a +0.1 ██"),
        ("files from …", "files from the Hub"),
        ("lines are\nbroken", "lines\nare broken"),
        ("first\n…\nlast", "first\nb\nc\nlast"),
        ("first\n…\nlast", "first\nlast"),
        ("…\nlast", "last"),
        ("first\n…", "first"),
        ("…", ""),
        ("a (b) [c]", "a (b) [c]"),
    ],
)
def test_differences_between_machines_are_ignored(expected, actual):
    assert matches(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("one", "two"),
        ("one", "one\ntwo"),
        ("one\ntwo", "one"),
        ("files from …", "bytes from the Hub"),
        ("first\n…\nlast", "first\nb"),
        ("a.b", "axb"),
        ("384 numbers", "no numbers"),
    ],
)
def test_other_differences_are_not_ignored(expected, actual):
    assert not matches(expected, actual)
