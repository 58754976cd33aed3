from __future__ import annotations

import pytest

from pellucid.files.own_folders import what_pellucid_made


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["index.json", "lock", "chunks-0a.lance"], "an index of Pellucid's"),
        (["lock", "staged"], "an index of Pellucid's"),
        (["_manifest.json", "a-000000000000-000000016384.parquet"], "the output of pellucid batch"),
        ([".lock", "_manifest.json"], "the output of pellucid batch"),
        (["_manifest.json", "a.parquet", "notes.md"], None),
        ([".lock", "a-000000000000-000000016384.parquet"], None),
        (["index.json", "app.js"], None),
        (["chunks-0a.lance", "notes.md"], None),
        ([], None),
    ],
)
def test_a_folder_is_known_by_the_names_in_it(names, expected):
    assert what_pellucid_made(names) == expected
