from __future__ import annotations

import random
import shutil
import subprocess

import pytest

from pellucid.errors import GitignoreError
from pellucid.files.ignoring import MAX_BYTES, parse_rules, read_rules


def left_out(lines, path, *, is_folder=False):
    return parse_rules(lines).ignores(path, is_folder=is_folder)


@pytest.mark.parametrize(
    ("line", "matching", "others"),
    [
        ("*.log", ["a.log", "b/c/.log"], ["a.logs"]),
        ("/a", ["a"], ["b/a"]),
        ("b/a", ["b/a"], ["c/b/a", "a"]),
        ("**/a", ["a", "b/a", "b/c/a"], ["ba"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b/a/c"]),
        ("a/**/b", ["a/b", "a/c/d/b"], ["ab", "a/cb"]),
        ("a*b*c", ["abc", "axxbxbxc"], ["axxc", "a/b/c"]),
        ("[a-c]?", ["ax", "cé"], ["dx", "a"]),
        ("[!a]", ["b"], ["a"]),
        ("[]-]", ["]", "-"], ["["]),
        ("[[:digit:]]*", ["1", "2b"], ["a1"]),
        ("[z-a]", ["z"], ["b", "a"]),
        ("\\#a\\ ", ["#a "], ["#a", "a"]),
        ("a  ", ["a"], ["a  "]),
        ("a\r", ["a"], []),
        ("# a", [], ["# a", "a"]),
        ("a/*/b", ["a/x/b"], ["a/b", "a/x/y/b"]),
    ],
)
def test_a_line_matches_as_in_git(line, matching, others):
    assert [path for path in (*matching, *others) if left_out(line, path)] == matching


def test_the_last_rule_that_matches_decides():
    rules = parse_rules("*.log\n!keep.log\nkeep.*\n!keep.log\n")
    assert [rules.ignores(path, is_folder=False) for path in ("a.log", "keep.log", "a.txt")] == [True, False, None]


def test_a_slash_at_the_end_means_folders():
    assert left_out("a/", "a") is None
    assert left_out("a/", "b/a", is_folder=True)


@pytest.mark.parametrize("line", ["", "!", "\\", "a\\", "[", "[]", "[a", "/", "//", "a//b", "[[:nothing:]]", "\0"])
def test_what_git_does_not_understand_matches_nothing(line):
    assert [path for path in ("a", "a/b", "b", "[", "\\", "!") if left_out(line, path)] == []


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("*a" * 100 + "*b", "a" * 255),
        ("a/**/" * 90 + "b", "/".join("a" * 2000)),
        ("**/*a*a*b/" * 40 + "b", "/".join(["aaaa"] * 800)),
        ("[a-z]*" * 60 + "1", "a" * 255),
    ],
)
def test_many_stars_are_followed_at_once(line, path):
    """With pathspec, six stars took half a minute and seven took an hour: this would not end."""
    for _ in range(100):
        assert left_out(line, path) is None


def test_a_file_that_is_too_large_is_not_followed(tmp_path):
    (tmp_path / ".gitignore").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(GitignoreError, match="more than 100,000 bytes"):
        read_rules(tmp_path / ".gitignore")
    with pytest.raises(GitignoreError, match="line 2 of .gitignore has more than 500 letters"):
        parse_rules("a\n" + "*" * 501)


def test_bytes_that_are_no_text_match_themselves(tmp_path):
    (tmp_path / ".gitignore").write_bytes(b"\xef\xbb\xbfcaf\xe9\n")
    assert read_rules(tmp_path / ".gitignore").ignores("caf\udce9", is_folder=False)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_says_the_same(tmp_path):
    drawn = random.Random(0)
    letters, depths = "aabbc*-]\\ !#", range(1, 4)
    paths = ["/".join("".join(drawn.choices(letters, k=3)) for _ in range(drawn.choice(depths))) for _ in range(200)]
    pieces = ["a", "b", "a", "*", "**", "?", "/", "/", "[ab]", "[!a]", "[a-c]", "[]a]", "\\", "\\*", "!", "#", "-"]
    pieces += ["[a-]", "[[:alpha:]]", "[z-a]", "**/", "/**", "[a/b]", "[/-c]"]
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    command = ["git", "-C", tmp_path, "check-ignore", "--no-index", "-v", "-n", "-z", "--stdin"]
    for _ in range(100):
        line = "".join(drawn.choices(pieces, k=drawn.randint(1, 6))).replace("//", "/")
        (tmp_path / ".gitignore").write_text(f"{line}\n", encoding="utf-8")
        done = subprocess.run(command, input="\0".join(paths) + "\0", capture_output=True, text=True, check=False)
        told = done.stdout.split("\0")
        git_says = {
            path: bool(line) and not line.startswith("!") for line, path in zip(told[2:-1:4], told[3::4], strict=True)
        }
        rules = parse_rules(line)
        for path in paths:
            parts = path.split("/")
            ways = (("/".join(parts[:count]), count < len(parts)) for count in range(1, len(parts) + 1))
            assert any(rules.ignores(way, is_folder=is_folder) for way, is_folder in ways) == git_says[path], line
