from __future__ import annotations

import json
import re

import numpy as np
import pytest

from pellucid import Embedder, MultiVectorEmbedder, Reranker, SparseEmbedder
from tests import bge_m3, tiny
from tests.cli.command import run
from tests.multi_vector_models import write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(tiny.write_model(tmp_path_factory.mktemp("models") / "m", prompts={"query": "query: "}))


@pytest.fixture(scope="module")
def reranker(tmp_path_factory) -> str:
    return str(tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "reranker"))


def test_one_text_is_explained_stage_by_stage(model):
    result = run("explain", "the cat", "--model", model)
    assert (result.code, result.err) == (0, "")
    for stage in ("text", "tokens  [6]", "token vectors  [6 × 16]", "context", "pooling", "vector  [16]"):
        assert f"{stage}" in result.out
    assert "the model's prompt: 'query: '" in result.out


def test_two_texts_are_compared(model):
    cosine = Embedder(model).compare("the cat", "a dog").cosine
    result = run("explain", "the cat", "--with", "a dog", "--model", model)
    assert f"cosine {cosine:.4f}" in result.out


def test_a_reranker_explains_its_score(reranker, tmp_path):
    expected = Reranker(reranker).explain("the cat", "a dog sat")
    call = ("explain", "the cat", "--with", "a dog sat", "--model", reranker)
    result = run(*call)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"score {expected.score:.4f}  sigmoid of the logit {expected.logit:.3f}\n")
    assert json.loads(run(*call, "--json").out) == json.loads(expected.to_json())
    files = [tmp_path / "x.html", tmp_path / "x.json"]
    assert run(*call, *(f"-o{file}" for file in files)).code == 0
    assert '"kind":"score"' in files[0].read_text(encoding="utf-8")
    assert json.loads(files[1].read_text(encoding="utf-8"))["score"] == expected.score
    prompted = json.loads(run(*call, "--json", "--prompt", "the mat ").out)
    assert prompted["score"] == Reranker(reranker).explain("the cat", "a dog sat", prompt="the mat ").score


def test_a_model_with_several_labels_has_no_score_to_explain(tmp_path):
    model = str(tiny.write_scoring_model(tmp_path / "m", labels=3))
    result = run("explain", "the cat", "--with", "a dog sat", "--model", model)
    assert (result.code, "has 3 labels, so it gives no single score" in result.err) == (1, True)


def test_a_model_of_vectors_that_names_a_head_is_still_compared(tmp_path):
    folder = tiny.write_model(tmp_path / "m")
    tiny.edit_json(folder / "config.json", architectures=["BertForSequenceClassification"])
    assert run("explain", "the cat", "--with", "a dog", "--model", str(folder)).out.startswith("cosine ")


def test_json_has_the_whole_trace_or_comparison(model):
    trace = json.loads(run("explain", "the cat", "--json", "--prompt", "", "--model", model).out)
    assert trace["stages"][-1]["arrays"]["vector"] == Embedder(model).trace("the cat", prompt="").vector.tolist()
    comparison = json.loads(run("explain", "the cat", "--with", "a dog", "--json", "--model", model).out)
    assert comparison["cosine"] == Embedder(model).compare("the cat", "a dog").cosine


def test_json_on_the_terminal_has_no_control_characters(model, reranker):
    for call in (
        ["--model", model],
        ["--with", "\x9b31m", "--model", model],
        ["--with", "\x9b31m", "--model", reranker],
    ):
        result = run("explain", "cat \x9b31m", *call, "--json")
        assert "\x9b" not in result.out
        assert "cat \x9b31m" in json.dumps(json.loads(result.out), ensure_ascii=False)


def test_arrays_go_to_a_file(model, tmp_path):
    result = run("explain", "the cat", "--output", str(tmp_path / "x.npz"), "--model", model)
    assert (result.code, result.out) == (0, "")
    with np.load(tmp_path / "x.npz") as stored:
        np.testing.assert_array_equal(stored["vector/vector"], Embedder(model).trace("the cat").vector)


@pytest.mark.parametrize("other", [[], ["--with", "a dog"]])
def test_a_page_goes_to_a_file(model, tmp_path, other):
    result = run("explain", "the <b>cat</b>", *other, "-o", str(tmp_path / "x.html"), "--model", model)
    assert (result.code, result.out) == (0, "")
    written = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert written.startswith("<!doctype html>")
    assert "<b>cat</b>" not in written


def test_lifecycle_shows_import_construction_and_call(model):
    result = run("explain", "the cat", "--lifecycle", "--model", model)
    assert result.code == 0
    for word in ("import", "construct", "call", "model.safetensors"):
        assert word in result.out


def test_a_file_of_texts_becomes_a_map(model, tmp_path):
    (tmp_path / "texts.txt").write_text("the cat\na dog\nthe mat\non the mat\n", encoding="utf-8")
    (tmp_path / "labels.txt").write_text("animal\nanimal\nthing\nthing\n", encoding="utf-8")
    out = tmp_path / "map.html"
    arguments = ["--map", str(tmp_path / "texts.txt"), "--labels", str(tmp_path / "labels.txt"), "--output", str(out)]
    assert run("explain", *arguments, "--model", model).code == 0
    assert "animal" in out.read_text(encoding="utf-8")


def test_a_map_leaves_out_blank_lines_and_their_labels(model, tmp_path):
    (tmp_path / "texts.txt").write_text("the cat\n \na dog\nthe mat\n\n")
    (tmp_path / "labels.txt").write_text("animal\nvacant\nanimal\nthing\nvacant\n")
    for more in ([], ["--labels", str(tmp_path / "labels.txt")]):
        out = tmp_path / f"{len(more)}.html"
        assert run("explain", "--map", str(tmp_path / "texts.txt"), *more, "-o", str(out), "--model", model).code == 0
        page = out.read_text(encoding="utf-8")
        texts = json.loads(re.search(r'"texts":(\[.*?\])', page)[1])
        assert (sorted(texts), "vacant" in page) == (["a dog", "the cat", "the mat"], False)


def test_several_files_are_written_in_one_call_and_json_is_what_is_printed(model, tmp_path):
    files = [tmp_path / name for name in ("x.html", "x.npz", "x.json")]
    result = run("explain", "the cat", *(f"-o{file}" for file in files), "--json", "--model", model)
    assert (result.code, result.err) == (0, "".join(f"Wrote {file}.\n" for file in files))
    assert result.out == files[2].read_text(encoding="utf-8")
    assert all(file.stat().st_size for file in files)


def test_a_path_is_taken_as_the_shell_passed_it(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~").mkdir()
    (tmp_path / "texts.txt").write_text("the cat\na dog\n")
    for arguments in (["--map", "texts.txt", "-o~/map.html"], ["the cat", "-o~/x.npz"]):
        assert run("explain", *arguments, "--model", model).code == 0
    assert sorted(path.name for path in (tmp_path / "~").iterdir()) == ["map.html", "x.npz"]


def test_a_dash_is_the_text_on_standard_input(model):
    result = run("explain", "-", "--json", "--model", model, stdin="the cat «sat»\n".encode())
    assert json.loads(result.out)["text"] == "the cat «sat»"
    result = run("explain", "the cat", "--with", "-", "--json", "--model", model, stdin=b"a\ndog\n")
    assert json.loads(result.out)["second"]["text"] == "a\ndog"
    result = run("explain", "-", "--model", model, stdin=b"\xff")
    assert (result.code, "standard input is not UTF-8 (byte 1)" in result.err) == (2, True)


def test_a_map_reads_a_table_or_standard_input(model, tmp_path):
    (tmp_path / "t.csv").write_text("id,body\n0,the cat\n1,a dog\n2,the mat\n")
    for arguments, stdin in (
        (["--map", str(tmp_path / "t.csv"), "--column", "body"], b""),
        (["--map", "-"], b"the cat\na dog\n"),
    ):
        out = tmp_path / f"{len(stdin)}.html"
        assert run("explain", *arguments, "-o", str(out), "--model", model, stdin=stdin).code == 0
        assert "a dog" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one text, or --map FILE"),
        (["cat", "--map", "x.txt"], "give one text, or --map FILE"),
        (["--map", "x.txt"], "--map needs --output FILE"),
        (["--map", "nowhere.txt", "--output", "x.html"], "there is no file nowhere.txt"),
        (["--map", "x.txt", "--json", "-o", "x.html"], "--map works only with --output"),
        (
            ["--map", "x.txt", "--output", "x.npz"],
            "-o x.npz: the ending must be .html, .png or .svg.",
        ),
        (["--map", "x.txt", "--task", "sparse", "-o", "x.html"], "--map works only with --output"),
        (["cat", "--lifecycle", "--task", "sparse"], "--lifecycle works only for one text"),
        (["-", "--with", "-"], "only one of the two texts can be -"),
        (["cat", "--labels", "x.txt"], "--labels and --column need --map"),
        (["cat", "--column", "body"], "--labels and --column need --map"),
        (["cat", "--output", "x.png"], "-o x.png: the ending must be .html, .htm, .json or .npz."),
        (["cat", "--lifecycle", "--with", "dog"], "--lifecycle works only for one text, in the terminal"),
        (["cat", "-o", "x.npz", "--with", "dog"], "--output: .npz works only for one text, not with --with"),
        (["cat", "-o", "/nowhere/x.html"], "there is no folder /nowhere. Make it first."),
    ],
)
def test_a_wrong_call_is_refused_before_a_model_is_loaded(arguments, message):
    result = run("explain", *arguments, "--model", "/nowhere")
    assert result.code == 2
    assert message in result.err


def test_a_text_that_is_a_file_gets_a_hint(tiny_bert, tmp_path):
    (tmp_path / "t.txt").write_text("a cat")
    result = run("explain", str(tmp_path / "t.txt"), "--model", str(tiny_bert))
    assert result.err.endswith(f"For the texts in it: --map {tmp_path / 't.txt'} -o map.html\n")


def test_a_life_cycle_needs_a_text():
    result = run("explain", "--lifecycle")
    assert (result.code, result.err) == (
        2,
        "pellucid: give one text, or --map FILE. For example: pellucid explain --lifecycle TEXT\n",
    )


def test_a_sparse_embedder_explains_its_score(tmp_path):
    folder = str(tiny.write_splade_model(tmp_path / "m"))
    expected = SparseEmbedder(folder).explain("the cat", "a dog sat")
    call = ("explain", "the cat", "--with", "a dog sat", "--model", folder)
    assert run(*call).out.startswith(f"score {expected.score:.4f}")
    assert json.loads(run(*call, "--json").out) == json.loads(expected.to_json())
    assert run(*call, "-o", str(tmp_path / "x.json")).code == 0
    assert json.loads((tmp_path / "x.json").read_text()) == json.loads(expected.to_json())
    assert run(*call, "-o", str(tmp_path / "x.html")).code == 0
    assert '"kind":"sparse"' in (tmp_path / "x.html").read_text(encoding="utf-8")
    one = run("explain", "the cat", "--model", folder)
    assert "terms" in one.out.splitlines()[0]
    page = run("explain", "the cat", "-o", str(tmp_path / "y.html"), "-m", folder)
    assert (page.code, page.err) == (2, "pellucid: --output: .html does not work for one text's terms. Choose .json.\n")
    assert "npz works only for one text" in run("explain", "the cat", "-o", str(tmp_path / "x.npz"), "-m", folder).err


def test_a_model_of_late_interaction_explains_its_score(tmp_path):
    folder = str(write_model(tmp_path / "m", prompts={"query": "a "}))
    expected = MultiVectorEmbedder(folder).explain("the cat", "a dog, sat")
    call = ("explain", "the cat", "--with", "a dog, sat", "--model", folder)
    assert run(*call).out.startswith(f"score {expected.score:.4f}")
    assert json.loads(run(*call, "--json").out) == json.loads(expected.to_json())
    files = [tmp_path / "x.html", tmp_path / "x.json"]
    assert run(*call, *(f"-o{file}" for file in files)).code == 0
    assert '"kind":"alignment"' in files[0].read_text(encoding="utf-8")
    assert json.loads(files[1].read_text(encoding="utf-8"))["matches"] == expected.matches.tolist()
    prompted = json.loads(run(*call, "--json", "--prompt", "").out)
    assert prompted["score"] == MultiVectorEmbedder(folder).explain("the cat", "a dog, sat", prompt="").score
    one = run("explain", "a dog, sat", "--model", folder)
    assert one.out.startswith("5 vectors")
    assert [
        token["piece"] for token in json.loads(run("explain", "a dog, sat", "-m", folder, "--json").out)["skipped"]
    ] == [","]
    page = run("explain", "the cat", "-o", str(tmp_path / "y.html"), "-m", folder)
    assert (page.code, page.err) == (
        2,
        "pellucid: --output: .html does not work for one text's tokens. Choose .json.\n",
    )


def test_a_model_of_several_kinds_of_vectors_explains_each(tmp_path):
    folder = str(bge_m3.write_model(tmp_path / "m"))
    call = ("explain", "the cat", "--with", "a cat sat", "-m", folder, "--json")
    assert json.loads(run(*call).out)["cosine"] == Embedder(folder).compare("the cat", "a cat sat").cosine
    sparse = SparseEmbedder(folder).explain("the cat", "a cat sat")
    assert json.loads(run(*call, "--task", "sparse").out) == json.loads(sparse.to_json())
    late = MultiVectorEmbedder(folder).explain("the cat", "a cat sat")
    assert json.loads(run(*call, "--task", "multi-vector").out) == json.loads(late.to_json())
    assert "skipped" in run("explain", "the cat", "-m", folder, "--task", "multi-vector").out  # The first token.


def test_vectors_that_a_model_does_not_give_are_refused(model):
    for task, words in (("sparse", "sparse"), ("multi-vector", "does not give each token a vector")):
        result = run("explain", "the cat", "--task", task, "--model", model)
        assert (result.code, words in result.err) == (1, True)
