"""The code for txtai on docs/integrations.md. It runs here, because txtai needs PyTorch."""

from __future__ import annotations

from pathlib import Path

import pytest
from docs.blocks import blocks

PAGE = Path(__file__).parents[2] / "docs" / "integrations.md"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_code_finds_what_the_embedder_finds(tmp_path, monkeypatch, capsys, minilm):
    monkeypatch.chdir(tmp_path)
    python = [block.code for block in blocks(PAGE.read_text(encoding="utf-8")) if block.language == "python"]
    first = next(code for code in python if code.startswith("texts = "))
    (code,) = (code for code in python if "from txtai import" in code)
    program = {}
    exec(compile(first + code, "<page>", "exec"), program)  # noqa: S102  our own
    assert f"# {capsys.readouterr().out.strip()}\n" in code
    expected = minilm.most_similar("a dog", program["texts"], k=2)
    for index in (program["index"], program["again"]):
        found = index.search("a dog", 2)
        assert [int(each["id"]) for each in found] == [each.index for each in expected]
        assert [each["score"] for each in found] == pytest.approx([each.score for each in expected], abs=1e-5)
