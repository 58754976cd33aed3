"""Hostile documents in a folder that is indexed: they are listed or read, and the files beside them are all there."""

from __future__ import annotations

import random
from pathlib import Path

from tests import tiny

from attack.child import Attack, Bounds, Result
from attack.command import check_output, pellucid
from attack.hostile_documents import MAKERS, SECRET
from attack.indexed import import_most
from attack.target import Target
from pellucid import Embedder

ORDINARY = {"0.txt": "the cat sat on the mat\n", "m.md": "# the dog\n\nsat on\n", "z.csv": "text,n\nthe mat,1\n"}


def prepare(shared: Path) -> Attack:
    model = tiny.write_model(shared / "model")
    Embedder(model, threads=1)
    import_most()

    def attack(rng: random.Random, files: Path) -> Result:
        folder, index = files / "docs", files / "index"
        (folder / "hostile").mkdir(parents=True)
        for name, text in ORDINARY.items():
            (folder / name).write_text(text)
        rng.choice(MAKERS)(rng, folder / "hostile")
        said = pellucid(
            *("index", folder, "--to", index, "--model", model, "--threads", "1"), output=files.parent / "output.txt"
        )
        check_output(said, SECRET)
        assert said.status == 0, f"no index: exit status {said.status}"
        _check_index(index)
        return Result("refused", "skipped") if " skipped:" in said.output else Result()

    return attack


def _check_index(index: Path) -> None:
    from pellucid.search.store import Store

    rows = Store.open(index).rows()
    texts = {row.file.removeprefix("docs/"): row.text for row in rows}
    for name, text in ORDINARY.items():
        assert name in texts, "an ordinary file is not there"
        assert texts[name].strip() in text, "an ordinary file has another text"


TARGET = Target(
    prepare,
    cases=200,
    short=8,
    law="indexed or listed within 20 s and 1 GiB; the ordinary files beside are there; nothing is quoted",
    bounds=Bounds(seconds=30),  # 20 for the file, and the start and the ordinary files
)
