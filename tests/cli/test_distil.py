from __future__ import annotations

import pytest

from pellucid import Embedder
from tests.cli.command import run


def test_it_makes_a_folder_that_embed_and_compare_take(tiny_bert, tmp_path):
    target = tmp_path / "static"
    result = run("models", "distil", str(tiny_bert), "--to", str(target), "--dimensions", "5")
    assert (result.code, result.err) == (0, "")
    assert "tokens of 5 numbers" in result.out
    assert f"To see what it loses: pellucid models compare {tiny_bert} {target}" in result.out
    assert Embedder(target).dimensions == 5
    assert run("embed", "the cat", "-m", str(target)).code == 0
    compared = run("models", "compare", str(tiny_bert), str(target), "--limit", "12")
    assert compared.code == 0
    assert "no limit" in compared.out
    assert "agreement" in compared.out


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("mine")
    result = run("models", "distil", "no/model", "--to", str(tmp_path))
    assert result.code != 0
    assert "exists already. Nothing was written." in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_too_many_dimensions_name_the_option(tiny_bert, tmp_path):
    result = run("models", "distil", str(tiny_bert), "--to", str(tmp_path / "m"), "--dimensions", "99")
    assert result.code != 0
    assert "--dimensions 99 must be a whole number from 1 to 16" in result.err


def test_a_static_model_is_shown_as_one(tiny_bert, tmp_path):
    run("models", "distil", str(tiny_bert), "--to", str(tmp_path / "m"), "--dimensions", "5")
    shown = run("models", "show", str(tmp_path / "m")).out
    assert "static, 0 layers of 5" in shown
    assert "no limit" in shown
    assert '"max_tokens": null' in run("models", "show", str(tmp_path / "m"), "--json").out
    assert "texts of any length" in run("embed", "the cat", "-m", str(tmp_path / "m"), "--no-json").out


@pytest.mark.parametrize("with_other", [False, True])
def test_explain_says_that_there_are_no_layers(tiny_bert, tmp_path, with_other):
    run("models", "distil", str(tiny_bert), "--to", str(tmp_path / "m"), "--dimensions", "5")
    more = ["--with", "a dog"] if with_other else []
    result = run("explain", "the cat", *more, "-m", str(tmp_path / "m"))
    assert result.code == 0
    assert with_other or "no layers and no attention" in " ".join(result.out.split())
    assert run("explain", "the cat", *more, "-m", str(tmp_path / "m"), "-o", str(tmp_path / "page.html")).code == 0
