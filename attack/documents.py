"""Target ``documents``: a hostile document among ordinary ones. It is indexed or skipped; the others are indexed."""

from __future__ import annotations

import random
from pathlib import Path

from tests import tiny

from attack.child import Case, Limits, Result
from attack.command import check_output, pellucid
from attack.hostile_documents import MAKERS, SECRET
from attack.indexed import import_dependencies
from attack.target import Target
from pellucid import Embedder

ORDINARY = {"0.txt": "the cat sat on the mat\n", "m.md": "# the dog\n\nsat on\n", "z.csv": "text,n\nthe mat,1\n"}


def prepare(shared: Path) -> Case:
    model = tiny.write_model(shared / "model")
    Embedder(model, threads=1)
    import_dependencies()

    def case(rng: random.Random, files: Path) -> Result:
        folder, index = files / "docs", files / "index"
        (folder / "hostile").mkdir(parents=True)
        for name, text in ORDINARY.items():
            (folder / name).write_text(text)
        rng.choice(MAKERS)(rng, folder / "hostile")
        result = pellucid(
            *("index", folder, "--index", index, "--model", model, "--threads", "1"), output=files.parent / "output.txt"
        )
        check_output(result, SECRET)
        assert result.status == 0, f"indexing failed with exit status {result.status}"
        _check_index(index)
        return Result("refused", "skipped") if "Skipped " in result.output else Result()

    return case


def _check_index(index: Path) -> None:
    from pellucid.search.store import Store

    rows = Store.open(index).rows()
    texts = {row.file.removeprefix("docs/"): row.text for row in rows}
    for name, text in ORDINARY.items():
        assert name in texts, "an ordinary file is missing from the index"
        assert texts[name].strip() in text, "an ordinary file has a wrong text in the index"


TARGET = Target(
    prepare,
    cases=200,
    short=8,
    invariant="indexed or listed as skipped, within 20 s and 1 GiB; the ordinary files are indexed; no text is printed",
    limits=Limits(seconds=30),  # 20 for the hostile file, the rest for the start and the ordinary files.
)
